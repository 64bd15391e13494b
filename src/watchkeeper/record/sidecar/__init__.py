"""The sidecar: a process beside a run that keeps watching when the run itself hangs.

    starter     in the job: starts the sidecar, and tells it when the run ends
    observer    the sidecar's loop
    advance     has the work advanced, and is it time to worry
    telemetry   what the work uses: CPU, memory, disk, GPU
    report      what was seen at a stall or a death, as a file for people
    cause       the likely cause of it
    ending      ends the work, when asked to

It inherits no stdio and is no child of the job, leaves when the job does, and its own death touches
nothing.
"""
