"""The folders that were asked for: see `query/catalogue/roots.py`."""

from __future__ import annotations

from watchkeeper.query.catalogue.roots import Root, roots_of, run_id

__all__ = ["Root", "roots_of", "run_id"]
