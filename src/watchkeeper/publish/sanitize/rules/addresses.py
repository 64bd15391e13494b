"""Hosts, addresses and links in free text."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from watchkeeper.publish.sanitize.known import Known
from watchkeeper.publish.sanitize.rules import near
from watchkeeper.publish.sanitize.rules.sites import host_of, is_public
from watchkeeper.publish.sanitize.rules.words import words
from watchkeeper.publish.sanitize.spans import Span

# ── links
_URL = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+]{1,20}://(?P<site>[^\s/\"'`<>|)\]},，。]{1,300})"
    r"(?P<rest>[^\s\"'`<>|)\]}，。]*)"
)
_WANDB = re.compile(
    r"(?<![\w./@-])(?:https?://)?(?:[\w-]{1,40}\.)?wandb\.ai/(?!site\b|docs?\b|tutorial"
    r"|fully-connected|articles?\b|signup\b"
    r"|login\b|authorize\b|settings\b)[^\s/\"'`<>|)\]}]{1,100}/[^\s\"'`<>|)\]}，。]+"
)
_WANDB_RUN = re.compile(
    r"(?<![\w./-])[\w.-]{1,80}/[\w.-]{1,80}/runs/(?P<id>[\w-]{4,64})"
    r"|(?<![A-Za-z0-9])(?:offline-)?run-\d{8}_\d{6}-(?P<local>[\w-]{1,64})"
    r"|wandb_id(?:\.txt)?\b"
    r"|(?<![A-Za-z0-9])WANDB_(?:RUN_)?ID[\"'`\]]{0,3}"
    r"[ \t]{0,3}[:=][ \t]{0,3}[\"'`]?(?P<variable>[\w-]{1,64})"
    r"|(?i:\b(?:wandb|w&b)[ _-](?:run[ _-])?id[\"'`*]{0,3}(?:[ \t]{0,3}[:=]"
    r"|[ \t]is)?[ \t]{1,3}[\"'`*]{0,3})(?P<named>[\w-]{4,64})"
)
# ── people at hosts
_AT = re.compile(
    r"(?<![\w.+%/@-])(?P<user>[\w.+-]{1,64})@(?P<host>[A-Za-z0-9][\w-]{0,63}(?:\.[\w-]{1,63}){0,8})(?![\w@])"
    r"(?P<path>:[^\s\"'`<>|,;)]*)?"
)
_METRIC = re.compile(
    r"(?:.*[_/-])?(?:loss|acc\w*|pass|recall|prec\w*|ndcg|map|hits?|mrr|top|score|f1|iou|auc"
    r"|p|r|em|best|avg|mean|maj|cons)\d*",
    re.IGNORECASE,
)
_REVISION = re.compile(
    r"v?\d[\w.]*|main|master|latest|head|dev|k|n|step\w*|epoch\w*|top\w*|[a-z]?\d+k?"
)
# ── numbers of machines
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_DOTTED = re.compile(r"\.\d{1,3}\.\d{1,3}\.(?=\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|(?<=::))(?![\w:])")
_MAC = re.compile(
    r"(?<![\w:-])[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?![\w:-])"
)
_COLONS = re.compile(r":(?::|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f]{0,4}:)")
_HYPHENS = re.compile(r"-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-")
_VERSION = re.compile(
    r"(?:[\w.-]*(?:nvidia|cuda|cu\d\d|tensorrt|cudnn|nccl|driver)[\w.-]*"
    r"|version)[ \t]*(?:[=~<>!]=|[:@]|)[ \t]*v?$",
    re.IGNORECASE,
)
_OPEN_NUMBERS = ("127.", "0.0.0.0", "255.255.", "::1")
# ── names of machines
_RANGE = r"\[\d{1,6}(?:-\d{1,6})?(?:,\d{1,6}(?:-\d{1,6})?){0,60}\]"
_NODE = re.compile(
    r"(?<![\w@./-])(?:[a-z0-9]{1,20}-){0,3}(?:"
    rf"(?:node|nid|nod[oe]s?|knoten)(?:[-_]?[a-z]{{0,3}}\d{{1,6}}|[-_]?{_RANGE})"
    r"|(?:cn|compute|comp|gpu|gpunode|login|uan|worker|dgx|hgx|hpc|head|headnode|frontend"
    r"|bigmem|rack|blade|host|server|srv"
    r"|vm|master|mgmt|storage|c|gn|tcn|gcn|fcn|jwb|jwc|lrdn|cpu)"
    rf"(?:[-_]?(?:\d{{3,6}}|0\d)|-\d{{1,3}}(?:-\d{{1,3}}){{0,3}}|-?[a-z]{{1,3}}\d{{2,4}}"
    rf"|[-_]?{_RANGE})"
    r"|(?:login|uan|dgx|hgx|gpunode|headnode|bigmem|blade|worker)\d{1,4}|gpu-?[a-z]{1,3}-?\d{2,4}"
    r"|x\d{3,5}c\d{1,2}s\d{1,2}b\d{1,2}n\d{1,2}|r\d{1,3}i\d{1,3}n\d{1,3}|ip(?:-\d{1,3}){4}"
    rf"|[A-Za-z][A-Za-z-]{{1,40}}\[\d{{1,6}}-\d{{1,6}}(?:,\d{{1,6}}(?:-\d{{1,6}})?){{0,60}}\]|[A-Za-z][A-Za-z-]{{1,40}}\[0\d{{1,5}}(?:,\d{{1,6}}){{0,60}}\]"
    r")(?:-(?:ib|eth|opa|hsn|mgmt"
    r"|ipmi)\d{0,2})?(?P<domain>(?:\.[A-Za-z][\w-]{0,63}){0,8})(?![\w])",
    re.IGNORECASE,
)
_SITE = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}(?P<end>[A-Za-z]{2,12})")
_REST_OF_NAME = re.compile(r"[\w.-]*")
_STRONG = words(
    """
    com org edu gov mil uk de ch fr at nl eu cluster hpc corp lan local internal intranet
    localdomain example invalid arpa nhs cern lab
    """
)
_WEAK = words(
    """
    net io ai dev co cloud ac jp cn kr au ca us se fi dk es it pl cz be br in info me tv tech
    test xyz site priv home
    """
)
_TWO_PARTS = words(
    """
    com org edu gov mil uk de ch cluster hpc corp lan internal localdomain
    """
)
_ENDS = re.compile(rf"\.(?:{'|'.join(sorted(_STRONG | _WEAK))})(?![\w-]|\.\w)")
_FILES = re.compile(
    r"(?:^|\.)(?:py|md|sh|json|yaml|yml|txt|log|csv|pt|bin|safetensors)\.", re.IGNORECASE
)
# ── names behind a word
_NAME = r"(?P<name>[A-Za-z0-9](?:[\w.-]|\[[\d,-]{1,80}\]|,(?=[A-Za-z]))*(?:/[\w.-]+)?)"
_FIELD = re.compile(
    r"(?<![A-Za-z0-9])(?:SLURMD?_(?:JOB_|STEP_|TOPOLOGY_)?(?:NODE(?:LIST|NAME|_ALIASES)"
    r"|ADDR)|node|nodes|node[ _-]?list|node[ _-]?name|hosts?|host[ _-]?name|fqdn"
    r"|BatchHost|AllocNode|ReqNodeList|exec_host|machine|server|instance|login[ _-]?node"
    r"|MASTER_ADDR|rdzv[_-]?endpoint|master[ _-]?addr\w*|HostName"
    r"|started on|submitted from|running on|ran on|on (?:the )?(?:node|host|server|machine)"
    r"|zone|cluster)"
    rf"(?:\((?:s|es|reason)\))?[\"'`*\])]{{0,4}}[ \t]{{0,6}}(?P<sign>[:=]"
    rf"|)[*]{{0,2}}[ \t]{{0,6}}[\"'`*(\[]{{0,3}}{_NAME}",
    re.IGNORECASE,
)
_SSH = re.compile(
    r"(?<![\w./-])(?:ssh|sftp|mosh|ssh-copy-id"
    r"|slogin)(?P<options>(?:[ \t]+-[A-Za-z0-9]+(?:[ \t]+(?:\d+"
    r"|[^\s-]*[/=:][^\s]*))?){0,8})[ \t]+"
    r"[\"'`]?(?:(?P<user>[\w.-]{1,64})@)?(?P<name>[A-Za-z0-9][\w.-]{0,80})"
)
_COPY_LINE = re.compile(r"(?<![\w./-])(?:scp|rsync)[ \t][^\n]{0,2000}")
_COPY_HOST = re.compile(r"(?<![\w/:.@-])(?P<name>[A-Za-z][\w.-]{1,63}):(?=[~/.\w$])")
_CONFIG = re.compile(
    r"(?m)^[ \t]*(?:Host|HostName|ProxyJump)[ \t]+(?P<name>[A-Za-z0-9][\w.-]{0,80})"
)
_LONGEST_SITE = 253
_NO_SITE_BEHIND = frozenset("@/\\")
_NODE_WORDS = (
    *("node", "nid", "nodo", "knoten", "cn", "comp", "gpu", "login", "uan", "worker", "dgx", "hgx"),
    *("hpc", "head", "frontend", "bigmem", "rack", "blade", "host", "server", "srv", "vm"),
    *("master", "mgmt", "storage", "gn", "jwb", "jwc", "lrdn", "cpu", "ip-", "["),
    *(f"{letter}{digit}" for letter in "cxr" for digit in range(10)),
)
"""Each name that `_NODE` takes holds one of these."""
_HOST_WORDS = (
    *("node", "host", "fqdn", "machine", "server", "instance", "_addr", "master", "rdzv", "zone"),
    *("started on", "submitted from", "running on", "ran on", "on the", "cluster"),
)
"""Each field that `_FIELD` takes holds one of these."""
_SENTENCE_SIGNS = ".,:;!?*_"
"""Signs behind an address that belong to the sentence, or to Markdown."""
_MADE_RUN_ID = re.compile(r"(?=[a-z]*\d)(?=\d*[a-z])[a-z0-9]{6,32}")
_NO_NAMES = words(
    """
    n/a na none null nil true false pending unknown localhost local auto default all any idle
    down up mixed alloc is are was were has had to from in on at of for and or the a an it its
    this that with without into access key keys keygen agent config tunnel session connection
    as by not no more nodes node host hosts server machine cluster gpu gpus cpu cpus rank ranks
    count name names list slurm h100 h200 a100 v100 gh200 mi250 mi300x s step steps time start
    end failure failed fails error errors reason restarted died crashed hung itself which where
    when one two three four each every per same another different first second last only with
    training evaluation train eval data test
    """
)


def find(text: str, known: Known) -> Iterator[Span]:
    """Where hosts, addresses and links that are not public stand in a text.

    Each span is of kind "link", "wandb", "address", "user" or "host", and spans may overlap:
    `ann@node7.cluster` is an address as a whole, and holds a host. `known` is not read: these
    forms are private by how they look.
    """
    small = near.lower(text)
    yield from _links(text, small)
    yield from _wandb(text, small)
    yield from _people_at_hosts(text, small)
    yield from _numbers(text)
    yield from _names(text, small)
    yield from _named(text, small)


def _links(text: str, small: str) -> Iterator[Span]:
    """Addresses of the web on sites that are not for everybody.

    `see http://node7:8888/lab.` is the link `http://node7:8888/lab`: a sign at the end belongs to
    the sentence. The value is the address in lower case without its last slash, so that
    `http://node7:8888/lab/` gets the same pseudonym.
    """
    for match in near.matches(_URL, text, small, ("://",)):
        if is_public(match["site"]):
            continue
        end = match.start() + len(match[0].rstrip(_SENTENCE_SIGNS))
        value = match[0].rstrip(_SENTENCE_SIGNS + "/").lower()
        yield Span(match.start(), end, "link", value, "an address that is not public")


def _wandb(text: str, small: str) -> Iterator[Span]:
    """Pages of W&B, and ids of its runs.

    A page is `https://wandb.ai/TEAM/PROJECT/…`; wandb.ai is a public site, but whether this page of
    it is cannot be seen from here. An id stands in `TEAM/PROJECT/runs/ID`, in the name of an
    offline run's folder (`run-20260102_030405-ID`), behind `WANDB_RUN_ID=`, or in a sentence
    (`the W&B run id is ID`).
    """
    for match in near.matches(_WANDB, text, small, ("wandb.ai",)):
        shown = match[0].rstrip(_SENTENCE_SIGNS)
        end = match.start() + len(shown)
        yield Span(match.start(), end, "wandb", shown.rstrip("/"), "a W&B page that is not public")
    for match in near.matches(_WANDB_RUN, text, small, ("/runs/", "run-2", "wandb", "w&b")):
        # `lastgroup` names the group that holds the id; of `wandb_id.txt` there is none, and the
        # whole match is hidden.
        name = match[match.lastgroup or 0]
        yield Span(*match.span(), "wandb", name, "the id of a W&B run", _run_id(name))


def _run_id(name: str) -> str:
    """A W&B id that is no word, to be hidden elsewhere; "" for anything else.

    W&B makes ids of small letters and digits (`1f4k2xq9`). A name without a digit (`baseline`) was
    chosen by a person, and is an ordinary word elsewhere in the text.
    """
    if _MADE_RUN_ID.fullmatch(name) is None:
        return ""
    return name


def _people_at_hosts(text: str, small: str) -> Iterator[Span]:
    """Mail addresses and logins: `ann@uni-x.de`, `ann@node7:/data`.

    The whole is an address. Where it is a login (a path follows, or the host has no domain), the
    user and the host are spans as well, so that both are hidden elsewhere in the text.
    """
    for match in near.matches(_AT, text, small, ("@",)):
        user, host = match["user"], match["host"]
        # `git@github.com` is everybody's; `train.py@main` is a file at a revision.
        is_git = user == "git" and is_public(host)
        is_file = user.endswith((".py", ".ipynb"))
        if is_git or is_file or not _is_host(user, host):
            continue
        end = match.start() + len(match[0].rstrip(_SENTENCE_SIGNS))
        yield Span(match.start(), end, "address", match[0].lower(), "a user at a host")
        is_login = match["path"] is not None or "." not in host
        if is_login:
            yield from _user_and_host(match, user, host)


def _user_and_host(match: re.Match[str], user: str, host: str) -> Iterator[Span]:
    """The two parts of a login, each to be hidden elsewhere where its name is no ordinary word."""
    yield Span(*match.span("user"), "user", user.lower(), "a user at a host", _learned(user, 2))
    if not is_public(host):
        yield Span(*match.span("host"), "host", host.lower(), "a host of a user", _learned(host))


def _is_host(user: str, host: str) -> bool:
    """Whether what stands behind an at is a host, and no revision or depth of a metric.

    Training logs are full of other ats: `recall@10`, `pass@k`, `llama@v2.1`, `model@main`. With a
    dot in it, it is a host if it ends in a name (`.de`) and not in a number (`.1`).
    """
    if "." in host:
        end = host.rpartition(".")[2]
        return re.fullmatch(r"[A-Za-z-]{2,24}", end) is not None
    if _REVISION.fullmatch(host.lower()) or _METRIC.fullmatch(user):
        return False
    return len(host) > 2 and len(user) > 1


def _numbers(text: str) -> Iterator[Span]:
    """Addresses in numbers: IPv4, IPv6, and those of network cards (`a4:bf:01:3e:77:10`)."""
    yield from _ipv4(text)
    for match in _around(_IPV6, _COLONS, text, 30):
        is_open = match[0] in ("::", "::1")
        if not is_open and _is_number(match[0]):
            yield Span(*match.span(), "address", match[0].lower(), "an IP address")
    for sign in (_COLONS, _HYPHENS):
        for match in _around(_MAC, sign, text, 6):
            reason = "the address of a network card"
            yield Span(*match.span(), "address", match[0].lower(), reason)


def _ipv4(text: str) -> Iterator[Span]:
    """Addresses such as `10.1.2.3`, but no versions of software (`cuda==12.4.1.3`), and not those
    that are the same on each machine (`127.0.0.1`).
    """
    for match in _around(_IPV4, _DOTTED, text, 3):
        before = text[max(0, match.start() - 60) : match.start()].rpartition("\n")[2]
        if match[0].startswith(_OPEN_NUMBERS) or _VERSION.search(before):
            continue
        if _is_number(match[0]):
            yield Span(*match.span(), "address", match[0], "an IP address")


def _around(
    pattern: re.Pattern[str], sign: re.Pattern[str], text: str, before: int
) -> Iterator[re.Match[str]]:
    """The matches of a pattern that begin at most `before` characters before a sign.

    The sign (`.1.2.3`) is rare and quick to find; the pattern alone would be tried at each of a
    log's millions of numbers. No match is yielded twice.
    """
    at = 0
    for hint in sign.finditer(text):
        start = max(at, hint.start() - before)
        match = pattern.search(text, start, hint.end() + 60)
        if match is not None and match.start() <= hint.start():
            at = match.end()
            yield match


def _is_number(text: str) -> bool:
    """Whether the digits make an IP address: `300.1.2.3` and `1:2:3` have its form only.

    By this, times (`12:34:56`) are no IPv6 addresses.
    """
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _names(text: str, small: str) -> Iterator[Span]:
    """Names that only machines have: `nid001234`, `gpu[01-04]`, and names with a domain, such as
    `login1.hpc.uni-x.de`.

    A node's name is hidden elsewhere by its first part, without the domain.
    """
    for match in near.matches(_NODE, text, small, _NODE_WORDS):
        name = _short(match[0])
        yield Span(*match.span(), "host", name, "the name of a node", name)
    for start, match in _sites(text):
        if _is_site(match[0], match["end"].lower()):
            end = start + len(match[0])
            yield Span(start, end, "host", match[0].lower(), "the full name of a host")


def _sites(text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Names with dots in them that end as those of hosts do: where each begins, and its parts.

    `self.net(x)` is a call and `a/b.net` a part of a path: neither is yielded. The name is looked
    for backwards from its end (`.de`), which is rarer than the begin of a word.
    """
    at = 0
    for end in _ENDS.finditer(text):
        if end.start() < at:
            continue  # an end within the name before: `.uk` of `.ac.uk`
        start = _name_start(text, end.start())
        rest = _REST_OF_NAME.match(text, end.start())
        at = rest.end() if rest else end.end()
        name = text[start:at].rstrip(".-_")
        match = _SITE.fullmatch(name)
        is_call = text[at : at + 1] == "("
        is_part = text[start - 1 : start] in _NO_SITE_BEHIND
        if match and not is_call and not is_part:
            yield start, match


def _name_start(text: str, at: int) -> int:
    """Where the name begins that ends at `at`.

    It is looked for at most the 253 characters back that a name in the DNS can have.
    """
    first = max(0, at - _LONGEST_SITE)
    while at > first and (text[at - 1].isalnum() or text[at - 1] in "-._"):
        at -= 1
    return at


def _is_site(name: str, end: str) -> bool:
    """Whether a name with dots in it is a host's, and not public. `end` is its last label.

    Two labels are enough where the end means nothing else (`uni-x.de`); before an end that is an
    ordinary word, too (`model.net`, `results.info`), there must be three. Hosts are written in
    lower case, names of code often are not (`torch.Model.net`).
    """
    if end not in _STRONG and end not in _WEAK:
        return False
    if is_public(name):
        return False
    is_file = _FILES.search(name) is not None
    if is_file or name != name.lower():
        return False
    return name.count(".") > 1 or end in _TWO_PARTS


def _named(text: str, small: str) -> Iterator[Span]:
    """Hosts that the words around them name.

    `node: saturn` and `running on saturn3`; `ssh -p 22 ann@saturn`; `scp w.pt saturn:/data`; and
    `HostName saturn` in a configuration of ssh.
    """
    for match in near.matches(_FIELD, text, small, _HOST_WORDS):
        if _is_name(match["name"], match["sign"]):
            yield _host(match, "a host by the name of its field")
    for match in near.matches(_SSH, text, small, ("ssh", "sftp", "mosh", "slogin")):
        if _is_ssh_host(text, match):
            yield _host(match, "the host of a connection")
    for line in near.matches(_COPY_LINE, text, small, ("scp", "rsync")):
        for match in _COPY_HOST.finditer(text, *line.span()):
            if match["name"].lower() not in ("file", "http", "https", "ssh"):
                yield _host(match, "the host of a copy")
    for match in near.matches(_CONFIG, text, small, ("host", "proxyjump")):
        if _is_name(match["name"], ":"):
            yield _host(match, "the host of a connection")


def _is_ssh_host(text: str, match: re.Match[str]) -> bool:
    """Whether the word behind `ssh` is a host, and no sentence about ssh (`use ssh tunnels`).

    A digit, a dot, a user or an option before it makes it one; else it takes a command's place:
    at the begin of a line, or behind a prompt or a quote (`` `ssh saturn` ``).
    """
    name = match["name"]
    if name.lower() in _NO_NAMES:
        return False
    has_options = match["options"].strip() != ""
    if re.search(r"[\d.-]", name) or match["user"] or has_options:
        return True
    before = text[max(0, match.start() - 2) : match.start()].strip(" \t")
    return before == "" or before[-1] in "`$>;&|\"'(\n#:"


def _is_name(name: str, sign: str) -> bool:
    """Whether a word behind the name of a field, or behind `on node`, is a host's name.

    `sign` is what stands between field and word. Behind a colon or `=` any word is one that is not
    listed as none (`node: n/a`) and no number (`nodes: 4`); behind a space alone (`sign` is "") it
    needs letters and digits (`ran on h3`).
    """
    bare = name.strip(".,:;-").lower()
    if bare in _NO_NAMES or re.fullmatch(r"[\d.,/x-]*", bare):
        return False
    if sign:
        return True
    return re.search(r"[A-Za-z].*\d|\d.*[A-Za-z]", bare) is not None


def _host(match: re.Match[str], reason: str) -> Span:
    """The group "name" of a match as the name of a host."""
    name = match["name"].rstrip(".,-")
    start = match.start("name")
    return Span(start, start + len(name), "host", _short(name), reason, _learned(name))


def _short(name: str) -> str:
    """The name of a host without its domain, in lower case."""
    return name.lower().partition(".")[0]


def _learned(name: str, shortest: int = 4) -> str:
    """A name that is to be hidden elsewhere, too; "" for one that may be any word.

    `shortest` is the fewest characters of such a name. Behind an at, where 2 are enough, only a
    user stands, and `ann` is hidden everywhere; a host's name needs a digit, dot or hyphen, as
    `saturn` may be a planet.
    """
    is_user = shortest <= 2
    if len(name) < shortest or name.lower() in _NO_NAMES or host_of(name).isdigit():
        return ""
    if not is_user and not re.search(r"[\d.-]", name):
        return ""
    return name
