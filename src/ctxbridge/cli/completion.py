"""``ctxbridge completion``: what a shell needs to complete commands, made from the parser itself.

Nothing is run while completing, and nothing is looked up in a store: a Tab costs no start of Python
and shows no addresses.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ctxbridge.cli.commands import COMMANDS
from ctxbridge.cli.parser import make_parsers

FILES = "FILE"


class Option(NamedTuple):
    """One option: its spellings, what is told of it, and what stands behind it.

    `takes` is empty for a flag, else the name of the value; `FILES` for that of a file.
    """

    spellings: tuple[str, ...]
    told: str
    takes: str
    choices: tuple[str, ...]


class Asked(NamedTuple):
    """What one command takes. `choices` are those of its first argument that has some."""

    name: str
    summary: str
    options: tuple[Option, ...]
    choices: tuple[str, ...]
    files: bool


def completion(shell: str) -> int:
    """Print the script for ``bash``, ``zsh`` or ``fish``."""
    print(script(shell))
    return 0


def script(shell: str) -> str:
    """The script as a text."""
    return "\n".join(SHELLS[shell](_asked()))


def _asked() -> list[Asked]:
    """Every command; the first is ``ctxbridge`` itself, without a name."""
    summaries = {"": ""} | {command.name: command.summary for command in COMMANDS}
    return [_one(name, summaries[name], parser.actions) for name, parser in make_parsers().items()]


def _one(name: str, summary: str, actions: Sequence[argparse.Action]) -> Asked:
    options = tuple(_option(one) for one in actions if one.option_strings)
    places = [one for one in actions if not one.option_strings and name]
    choices = next((tuple(map(str, one.choices)) for one in places if one.choices), ())
    files = any(one.metavar == FILES for one in places)
    return Asked(name, summary, options, choices, files)


def _option(action: argparse.Action) -> Option:
    takes = "" if action.nargs == 0 else str(action.metavar or "VALUE")
    choices = tuple(map(str, action.choices or ()))
    return Option(
        tuple(action.option_strings), (action.help or "").replace("%%", "%"), takes, choices
    )


# --- bash -----------------------------------------------------------------------------------------


def _bash(asked: Sequence[Asked]) -> Iterator[str]:
    yield """\
# completion of ctxbridge for bash; in ~/.bashrc:  source <(ctxbridge completion bash)
_ctxbridge_files() {
    local IFS=$'\\n'
    COMPREPLY=($(compgen -f -- "$1"))
    compopt -o filenames 2>/dev/null
}
_ctxbridge() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local command= words= files= i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -*) ;;
            *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    COMPREPLY=()
    case "$command $before" in"""
    for one in asked:
        for option in one.options:
            if option.takes:
                yield f"        {_bash_value(one, option)}"
    yield "    esac\n    case $command in"
    for one in asked:
        yield f"        {_bash_command(one, asked)}"
    yield """\
    esac
    if [[ $files && $word != -* ]]; then
        _ctxbridge_files "$word"
    else
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    fi
}
complete -F _ctxbridge ctxbridge"""


def _bash_value(one: Asked, option: Option) -> str:
    names = "|".join(f'"{one.name} {spelling}"' for spelling in option.spellings)
    does = ""
    if option.choices:
        does = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$word")); '
    elif option.takes == FILES:
        does = '_ctxbridge_files "$word"; '
    return f"{names}) {does}return ;;"


def _bash_command(one: Asked, asked: Sequence[Asked]) -> str:
    words = [spelling for option in one.options for spelling in option.spellings]
    words += one.choices if one.name else [other.name for other in asked[1:]]
    files = "files=yes; " if one.files and not one.choices else ""
    if one.files and one.choices:  # the files come after the first argument
        files = "((COMP_CWORD > i + 1)) && files=yes; "
    return f'"{one.name}") {files}words="{" ".join(words)}" ;;'


# --- zsh ------------------------------------------------------------------------------------------


def _zsh(asked: Sequence[Asked]) -> Iterator[str]:
    whole, *commands = asked
    yield """\
#compdef ctxbridge
# completion of ctxbridge for zsh; in ~/.zshrc, after compinit:  source <(ctxbridge completion zsh)
_ctxbridge() {
    local curcontext=$curcontext state line
    local -a commands
    typeset -A opt_args
    _arguments -C \\"""
    for option in whole.options:
        yield f"        {_zsh_option(option)} \\"
    yield """\
        '1:command:->command' \\
        '*::argument:->argument'
    case $state in
        command)
            commands=("""
    for one in commands:
        yield f"                {_quoted(one.name + ':' + one.summary.replace(':', chr(92) + ':'))}"
    yield """\
            )
            _describe command commands ;;
        argument)
            case $words[1] in"""
    for one in commands:
        yield f"                {one.name}) _arguments {' '.join(_zsh_words(one))} ;;"
    yield """\
            esac ;;
    esac
}
if [[ $funcstack[1] == _ctxbridge ]]; then
    _ctxbridge "$@"
else
    compdef _ctxbridge ctxbridge
fi"""


def _zsh_words(one: Asked) -> Iterator[str]:
    for option in one.options:
        yield _zsh_option(option)
    if one.choices:
        yield _quoted(f"1:one of:({' '.join(one.choices)})")
    if one.files:
        yield _quoted("*:file:_files")


def _zsh_option(option: Option) -> str:
    told = option.told
    for char in "\\[]:":
        told = told.replace(char, f"\\{char}")
    value = ""
    if option.takes:
        does = f"({' '.join(option.choices)})" if option.choices else ""
        does = "_files" if option.takes == FILES else does or " "
        value = f":{option.takes.replace(':', chr(92) + ':')}:{does}"
    return " ".join(_quoted(f"{spelling}[{told}]{value}") for spelling in option.spellings)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- fish -----------------------------------------------------------------------------------------


def _fish(asked: Sequence[Asked]) -> Iterator[str]:
    whole, *commands = asked
    yield (
        "# completion of ctxbridge for fish:\n"
        "#   ctxbridge completion fish > ~/.config/fish/completions/ctxbridge.fish"
    )
    yield "complete -c ctxbridge -f"
    for option in whole.options:
        yield _fish_option(option, "__fish_use_subcommand")
    for one in commands:
        told = _fish_quoted(one.summary)
        yield f"complete -c ctxbridge -n __fish_use_subcommand -a {one.name} -d {told}"
        seen = f"'__fish_seen_subcommand_from {one.name}'"
        for option in one.options:
            yield _fish_option(option, seen)
        if one.choices:
            yield f"complete -c ctxbridge -n {seen} -a '{' '.join(one.choices)}'"
        if one.files:
            yield f"complete -c ctxbridge -n {seen} -F"


def _fish_option(option: Option, when: str) -> str:
    words = ["complete -c ctxbridge -n", when]
    for spelling in option.spellings:
        words += [f"-l {spelling[2:]}" if spelling.startswith("--") else f"-s {spelling[1:]}"]
    if option.choices:
        words.append(f"-x -a '{' '.join(option.choices)}'")
    elif option.takes:
        words.append("-r -F" if option.takes == FILES else "-x")
    return " ".join([*words, "-d", _fish_quoted(option.told)])


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: Mapping[str, Callable[[Sequence[Asked]], Iterator[str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
