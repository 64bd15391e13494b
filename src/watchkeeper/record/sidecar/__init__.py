"""The sidecar: a process beside a run that goes on seeing when the run itself hangs.

    starter     in the job: starts it, tells it the end
    stacks      in the job: every thread's stack at a signal, also while C code holds the
    interpreter
    lookout     the process: its loop
    advance     has the work advanced, and is it time to worry
    telemetry   what the work uses: CPU, memory, disk, GPU
    report      what is found at a stall or a death, as a file for people; `cause` names the likely
    cause
    ladder      ends the work, when told to

It inherits no stdio and is no child of the job, leaves when the job does, and its own death touches
nothing.
"""
