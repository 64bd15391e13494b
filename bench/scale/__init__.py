"""What grows with an experiment: `python -m bench.scale [--quick] [--json] [ROW…]`.

Each row is measured for one item, for N and for 10 N, and beside a baseline of the same run at
10 N. What counts is CPU time, since machines are shared. A row fails when its ratio to the baseline
or its growth exceeds the row's goal; absolute figures are printed, and decide nothing. `--quick`
takes a tenth of each N, where the start of a program is most of its time, and judges growth alone.
"""
