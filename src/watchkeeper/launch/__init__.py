"""From a folder to submitted jobs: the plan, the selection, the submission."""
