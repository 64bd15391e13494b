"""A chart as a file of its own, for a page that has no style of ours."""

from __future__ import annotations

from watchkeeper.show.report.markup import Markup

# The report's style for charts, in plain colours: an image has no page around it to inherit from.
_STYLE = (
    "svg{font:11px system-ui,sans-serif;fill:#17191c;background:#fff}"
    ".rule{stroke:#e5e5e2}.mark{stroke:#686d75;stroke-dasharray:1.5 2.5}.quiet{fill:#565b63}"
    ".line{fill:none;stroke-width:1.5;stroke-linejoin:round}.band{opacity:.28;stroke:none}"
    ".dot{fill:#fff;stroke-width:1.2}.strong{font-weight:600}"
    ".line.s1,.dot.s1{stroke:#0072b2}.band.s1{fill:#0072b2}.name.s1{fill:#0067a3}"
    ".line.s2,.dot.s2{stroke:#d55e00}.band.s2{fill:#d55e00}.name.s2{fill:#b04400}"
    ".line.s3,.dot.s3{stroke:#009e73}.band.s3{fill:#009e73}.name.s3{fill:#007a58}"
    ".line.s4,.dot.s4{stroke:#c76b9c}.band.s4{fill:#c76b9c}.name.s4{fill:#96407a}"
    ".line.pale,.dot.pale{stroke:#686d75}.band.pale{fill:#686d75}"
)
_OPENING = "<svg "
_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg" '


def standalone(chart: Markup) -> str:
    """The chart as the text of an SVG file, which needs nothing else to be shown."""
    head, end, rest = chart.partition(">")
    opening = head.replace(_OPENING, _OPENING + _NAMESPACE, 1)
    return f"{opening}{end}<style>{_STYLE}</style>{rest}\n"
