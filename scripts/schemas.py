"""Write the JSON Schema of every command's answer: `python scripts/schemas.py` renews the package's
and the documentation's.
"""

import json
from pathlib import Path

from watchkeeper.show.schemas import schemas

ROOT = Path(__file__).parents[1]
FOLDERS = (ROOT / "src" / "watchkeeper" / "show" / "json_schemas", ROOT / "docs" / "schemas")


def files() -> dict[Path, str]:
    """Each file → its text."""
    made = {}
    for folder in FOLDERS:
        for name, schema in schemas().items():
            file_name = f"{name.replace(' ', '-')}.json"
            made[folder / file_name] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return made


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
