"""Print the table of lint's codes for docs/run-records.md: `python scripts/codes_table.py`."""

from watchkeeper.report.lint.rules import RULES

if __name__ == "__main__":
    for code, rule in RULES.items():
        print(
            f"| {code} | {rule.severity} | {rule.about} | {rule.hint.replace('|', chr(92) + '|')} |"
        )
