"""Print docs/commands.md, every command's own help: `python scripts/commands_page.py >
docs/commands.md` renews it.
"""

import click

from watchkeeper.show.cli import COMMANDS, main


def page() -> str:
    """The page, from the commands' own help."""
    parts = [
        "# All commands",
        "",
        (
            "`wk` is short for `watchkeeper`. This page is made from `--help` by "
            "`scripts/commands_page.py`."
        ),
    ]
    context = click.Context(
        main,
        info_name="watchkeeper",
        max_content_width=110,
        terminal_width=110,
        **main.context_settings,
    )
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        inner = click.Context(
            command, info_name=name, parent=context, max_content_width=110, terminal_width=110
        )
        parts += ["", f"## {name}", "", "```", command.get_help(inner), "```"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")
