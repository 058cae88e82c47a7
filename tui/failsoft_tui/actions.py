"""Every key of the terminal UI: one registry feeds bindings, footer, help, palette.

No screen defines a key outside it.  Capitals write, lower case reads; `[` `]` `=`
and `u` only open a preview, and in a preview only ENTER applies.
"""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding, BindingType

__all__ = ["ACTIONS", "Action", "bindings", "footer", "lookup"]


class Action(NamedTuple):
    """One thing a key does.

    id: `where.name`; `name` is the method `action_<name>` of that place.
    keys: comma separated, as Textual names them.  shown: as printed.  help: what
    stands before its first colon is what the footer prints.
    write: needs an armed operator.  rank: place in the footer, 0 = not there.
    run: what is called instead, as Textual writes actions: `go('up')`.
    """

    id: str
    keys: str
    shown: str
    help: str
    write: bool = False
    rank: int = 0
    run: str = ""

    @property
    def where(self) -> str:
        """The place that has this key: app, table, overview, ..."""
        return self.id.partition(".")[0]

    @property
    def word(self) -> str:
        """What the footer says."""
        return self.help.partition(":")[0]

    @property
    def name(self) -> str:
        """What Textual runs."""
        return self.run or self.id.partition(".")[2]


ACTIONS = (
    Action(
        "app.overview", "1", "1", "Overview: worst routes first", run="go('overview')"
    ),
    Action(
        "app.controls", "3", "3", "Controls: kill, mode, flag", run="go('controls')"
    ),
    Action("app.modes", "4", "4", "Modes: degraded on purpose", run="go('modes')"),
    Action("app.deps", "5", "5", "Deps: breakers and quotas", run="go('deps')"),
    Action("app.versions", "6", "6", "Versions: who uses which", run="go('versions')"),
    Action("app.drift", "7", "7", "Drift: bodies that differ", run="go('drift')"),
    Action("app.nodes", "8", "8", "Nodes: who enforces what", run="go('nodes')"),
    Action("app.audit", "9", "9", "Audit: who did what, and why", run="go('audit')"),
    Action("app.previous", "minus", "-", "screen before"),
    Action("app.help", "question_mark", "?", "keys of this screen"),
    Action("app.command_palette", "ctrl+p", "ctrl+p", "find an action by name"),
    Action("app.hold", "space", "space", "hold: freeze the display", rank=60),
    Action("app.next_notice", "n", "n", "next notice"),
    Action("app.arm", "W", "W", "arm: with a reason, or disarm", rank=50),
    Action("app.reconnect", "ctrl+r", "ctrl+r", "connect again"),
    Action("app.quit_asking", "q", "q", "quit", rank=90),
    Action("table.up", "up", "up", "row up", run="go('up')"),
    Action("table.down", "down", "down", "row down", run="go('down')"),
    Action("table.page_up", "pageup", "pgup", "page up", run="go('page_up')"),
    Action("table.page_down", "pagedown", "pgdn", "page down", run="go('page_down')"),
    Action("table.home", "home", "home", "first row, and stay there", run="go('home')"),
    Action("table.end", "end", "end", "last row", run="go('end')"),
    Action("table.open", "enter", "enter", "detail: open the row", rank=5),
    Action("list.filter", "slash", "/", "filter: words, * any text, !not", rank=35),
    Action("list.sort", "s", "s", "sort: the same again reverses", rank=36),
    Action("list.back", "escape", "esc", "drop filter, go back"),
    Action(
        "list.undo",
        "u",
        "u",
        "undo: your last write, on Audit the row's",
        write=True,
        rank=40,
    ),
    Action("overview.incident", "e", "e", "stack: the newest of the route", rank=6),
    Action(
        "overview.kill",
        "K",
        "K",
        "kill: refuse the route on all nodes",
        write=True,
        rank=10,
    ),
    Action(
        "overview.mode", "D", "D", "mode: enter a degraded mode", write=True, rank=11
    ),
    Action(
        "overview.faults",
        "f",
        "f",
        "faults: only rows with errors or controls",
        rank=37,
    ),
    Action(
        "controls.kill", "K", "K", "kill: refuse the row's target", write=True, rank=10
    ),
    Action(
        "controls.lift",
        "L",
        "L",
        "lift: end the kill, mode or flag edit",
        write=True,
        rank=11,
    ),
    Action(
        "controls.group",
        "G",
        "G",
        "group: lift all of the row's group",
        write=True,
        rank=43,
    ),
    Action("controls.edit", "E", "E", "edit: the flag's rules", write=True, rank=12),
    Action(
        "controls.switch",
        "O",
        "O",
        "on/off: a flag for everybody",
        write=True,
        rank=44,
    ),
    Action(
        "controls.default",
        "V",
        "V",
        "variant: a flag's default one",
        write=True,
        rank=47,
    ),
    Action(
        "controls.guard", "A", "A", "apply: what a guard proposes", write=True, rank=49
    ),
    Action("controls.who", "w", "w", "who: what a user gets, and why", rank=50),
    Action("controls.diff", "d", "d", "diff: the flag's edit over its file", rank=48),
    Action("controls.history", "h", "h", "history: of the control", rank=30),
    Action(
        "controls.mode",
        "D",
        "D",
        "mode: enter, or leave when it is on",
        write=True,
        rank=42,
    ),
    Action(
        "controls.less",
        "left_square_bracket",
        "[",
        "-5: rollout down",
        write=True,
        rank=13,
        run="roll('-5')",
    ),
    Action(
        "controls.more",
        "right_square_bracket",
        "]",
        "+5: rollout up",
        write=True,
        rank=14,
        run="roll('+5')",
    ),
    Action(
        "controls.down",
        "left_curly_bracket",
        "{",
        "step: rollout down to 75 50 25 10 5 1 0",
        write=True,
        rank=45,
        run="roll('down')",
    ),
    Action(
        "controls.up",
        "right_curly_bracket",
        "}",
        "step: rollout up to 1 5 10 25 50 75 100",
        write=True,
        rank=46,
        run="roll('up')",
    ),
    Action(
        "controls.percent",
        "equals_sign",
        "=",
        "set %: rollout to a figure",
        write=True,
        rank=15,
    ),
    Action(
        "controls.until",
        "T",
        "T",
        "end: move the end of a control",
        write=True,
        rank=41,
    ),
    Action(
        "modes.mode",
        "D",
        "D",
        "mode: enter, or leave when it is on",
        write=True,
        rank=10,
    ),
    Action(
        "modes.form",
        "E",
        "E",
        "enter: on these routes, a share, with parameters",
        write=True,
        rank=10,
    ),
    Action("modes.auto", "A", "A", "auto: back to its triggers", write=True, rank=11),
    Action(
        "modes.drill",
        "R",
        "R",
        "drill: rehearse it on a small share",
        write=True,
        rank=12,
    ),
    Action("modes.until", "T", "T", "end: move the end of it", write=True, rank=13),
    Action("modes.budget", "b", "b", "budget: objectives and burn", rank=14),
    Action("modes.faults", "f", "f", "faults: only what is on or due", rank=37),
    Action(
        "deps.force",
        "B",
        "B",
        "breaker: open, closed, metrics only, or auto",
        write=True,
        rank=10,
    ),
    Action("deps.auto", "A", "A", "auto: nodes and quorum decide", write=True, rank=11),
    Action("deps.probe", "P", "P", "probe: try it now", write=True, rank=12),
    Action("deps.faults", "f", "f", "faults: only what is not closed", rank=37),
    Action(
        "versions.brownout",
        "B",
        "B",
        "brownout: start or stop, to be noticed",
        write=True,
        rank=10,
    ),
    Action(
        "versions.pin", "P", "P", "pin: a consumer, or free it", write=True, rank=11
    ),
    Action(
        "versions.sunset", "S", "S", "sunset: move it to later", write=True, rank=12
    ),
    Action(
        "versions.faults", "f", "f", "faults: only what ends or would break", rank=37
    ),
    Action("drift.ack", "A", "A", "ack: the entry is known", write=True, rank=10),
    Action(
        "drift.tolerance",
        "T",
        "T",
        "tolerance: repair it for a while, or end that",
        write=True,
        rank=11,
    ),
    Action("drift.diff", "d", "d", "diff: what is declared, what came", rank=12),
    Action("drift.peers", "p", "p", "peers: what third parties announced", rank=38),
    Action("drift.repairs", "t", "t", "repairs: tolerances and handlings", rank=39),
    Action("drift.faults", "f", "f", "faults: only what nobody handled", rank=37),
    Action("sheet.undo", "u", "u", "undo: your last write", write=True, rank=40),
    Action("sheet.up", "up", "up", "line up", run="go('up')"),
    Action("sheet.down", "down", "down", "line down", run="go('down')"),
    Action("sheet.page_up", "pageup", "pgup", "page up", run="go('page_up')"),
    Action("sheet.page_down", "pagedown", "pgdn", "page down", run="go('page_down')"),
    Action("sheet.back", "escape", "esc", "back", rank=80),
    Action("audit.diff", "d", "d", "diff: the row before and after", rank=10),
    Action(
        "detail.newer",
        "left_square_bracket",
        "[",
        "newer: flight after this one",
        rank=10,
    ),
    Action(
        "detail.older",
        "right_square_bracket",
        "]",
        "older: flight before this one",
        rank=11,
    ),
    Action("detail.incident", "e", "e", "stack: put it on top", rank=12),
    Action(
        "detail.kill",
        "K",
        "K",
        "kill: refuse the route on all nodes",
        write=True,
        rank=20,
    ),
    Action("detail.mode", "D", "D", "mode: enter a degraded mode", write=True, rank=21),
    Action("detail.frames", "F", "F", "frames: of libraries on or off", rank=22),
    Action(
        "detail.undo",
        "u",
        "u",
        "undo: your last write, on Audit the row's",
        write=True,
        rank=40,
    ),
    Action("detail.up", "up", "up", "line up", run="go('up')"),
    Action("detail.down", "down", "down", "line down", run="go('down')"),
    Action("detail.page_up", "pageup", "pgup", "page up", run="go('page_up')"),
    Action("detail.page_down", "pagedown", "pgdn", "page down", run="go('page_down')"),
    Action("detail.back", "escape", "esc", "back", rank=80),
    Action("control.history", "h", "h", "history: put it on top", rank=10),
    Action("control.undo", "u", "u", "undo: your last write", write=True, rank=40),
    Action("control.up", "up", "up", "line up", run="go('up')"),
    Action("control.down", "down", "down", "line down", run="go('down')"),
    Action("control.page_up", "pageup", "pgup", "page up", run="go('page_up')"),
    Action("control.page_down", "pagedown", "pgdn", "page down", run="go('page_down')"),
    Action("control.back", "escape", "esc", "back", rank=80),
    Action("preview.apply", "enter", "ENTER", "apply"),
    Action("preview.ends", "t", "t", "next end: 5m 15m 1h 4h"),
    Action("preview.reason", "r", "r", "write a reason of its own"),
    Action("preview.group", "g", "g", "group: the incident it belongs to"),
    Action("preview.less", "left_square_bracket", "[", "rollout -5", run="roll('-5')"),
    Action("preview.more", "right_square_bracket", "]", "rollout +5", run="roll('+5')"),
    Action(
        "preview.down",
        "left_curly_bracket",
        "{",
        "rollout a step down",
        run="roll('down')",
    ),
    Action(
        "preview.up", "right_curly_bracket", "}", "rollout a step up", run="roll('up')"
    ),
    Action("preview.cancel", "escape", "esc", "cancel"),
    Action("form.up", "up", "up", "line up", run="go('up')"),
    Action("form.down", "down", "down", "line down", run="go('down')"),
    Action("form.change", "enter", "ENTER", "change the line"),
    Action("form.add", "a", "a", "add a rule"),
    Action("form.remove", "x,delete", "x", "remove the rule"),
    Action("form.earlier", "left_square_bracket", "[", "rule up", run="move(-1)"),
    Action("form.later", "right_square_bracket", "]", "rule down", run="move(1)"),
    Action("form.rebucket", "b", "b", "let users change variant"),
    Action("form.preview", "p", "p", "preview the write"),
    Action("form.cancel", "escape", "esc", "leave; twice drops changes"),
    Action("fields.up", "up", "up", "line up", run="go('up')"),
    Action("fields.down", "down", "down", "line down", run="go('down')"),
    Action("fields.change", "enter", "ENTER", "change the line"),
    Action("fields.preview", "p", "p", "preview the write"),
    Action("fields.cancel", "escape", "esc", "leave; twice drops changes"),
    Action("ask.cancel", "escape", "esc", "cancel"),
    Action("pick.up", "up", "up", "entry up", run="go('up')"),
    Action("pick.down", "down", "down", "entry down", run="go('down')"),
    Action("pick.take", "enter", "ENTER", "take it"),
    Action("pick.cancel", "escape", "esc", "cancel"),
    Action("page.up", "up", "up", "line up", run="go('up')"),
    Action("page.down", "down", "down", "line down", run="go('down')"),
    Action("page.cancel", "escape,question_mark,q,d,enter", "esc", "close"),
)
_BY_ID = {action.id: action for action in ACTIONS}


def lookup(id: str) -> Action:
    """Return the action with this id; KeyError when there is none."""
    return _BY_ID[id]


def bindings(*places: str) -> list[BindingType]:
    """Return the bindings of these places, for a class's BINDINGS."""
    return [
        Binding(a.keys, a.name, a.help, show=False, id=a.id)
        for a in ACTIONS
        if a.where in places
    ]


def footer(*places: str) -> list[Action]:
    """Return what the footer of these places lists, most wanted first."""
    listed = [a for a in ACTIONS if a.rank and a.where in (*places, "app")]
    return sorted(listed, key=lambda action: action.rank)
