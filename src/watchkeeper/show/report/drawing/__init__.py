"""Charts as SVG, made where the report is written."""
