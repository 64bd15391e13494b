"""What makes a checkpoint trustworthy elsewhere: what it is, who made it, who vouched for it."""
