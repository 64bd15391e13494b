"""The formats in which recorder and watcher meet: what a recorded run's folder holds."""
