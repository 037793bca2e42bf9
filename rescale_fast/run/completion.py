"""`rescale-fast completion`: a script by which a shell completes commands, options, choices and files.

The script holds all of them, so that the Tab key starts no Python. One for each of SHELLS, made of the same options as
pages of help are.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from rescale_fast.run.commands import COMMANDS
from rescale_fast.run.options import Option, options_of
from rescale_fast.settings import OneOf, Positional, Registry, Settings
from rescale_fast.terminal import show

Shell: TypeAlias = Annotated[str, OneOf("rescale_fast.run.completion:SHELLS")]
Options = Mapping[str, list[Option]]
OTHERS = {"--help": "Show an example and the main options.", "--help-all": "Show all options."}

BASH = """\
# Completion of rescale-fast for bash. It is loaded when it is needed from
# ~/.local/share/bash-completion/completions/rescale-fast
_rescale_fast() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=""
    if ((COMP_CWORD == 1)) || [[ ${COMP_WORDS[1]} == help ]]; then
        COMPREPLY=($(compgen -W "@COMMANDS@ help --help --version" -- "$word"))
        return
    fi
    if [[ $word == --* ]]; then
        case ${COMP_WORDS[1]} in
@OPTIONS@
        esac
    else
        case "${COMP_WORDS[1]} $before" in
@VALUES@
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))  # where there is none, files are offered
}
complete -o default -F _rescale_fast rescale-fast
"""
ZSH = """\
#compdef rescale-fast
# Completion of rescale-fast for zsh. It belongs into a folder of $fpath, as _rescale-fast
_rescale_fast() {
    local -a commands=(
@COMMANDS@
    )
    if ((CURRENT == 2)) || [[ $words[2] == help ]]; then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    ((CURRENT--))
    case $command in
@OPTIONS@
    esac
}
if [[ $funcstack[1] == _rescale-fast ]]; then
    _rescale_fast "$@"
else
    compdef _rescale_fast rescale-fast
fi
"""
FISH = """\
# Completion of rescale-fast for fish. It is loaded when it is needed from
# ~/.config/fish/completions/rescale-fast.fish
complete -c rescale-fast -n __fish_use_subcommand -f
"""


@dataclass(frozen=True)
class CompletionCommand(Settings):
    """Print a script by which a shell completes commands, options, choices and files with the Tab key.

    Write it once where the shell looks for it, in a folder that is there:
    ~/.local/share/bash-completion/completions/rescale-fast for bash (with the package bash-completion), _rescale-fast
    in a folder of $fpath for zsh, ~/.config/fish/completions/rescale-fast.fish for fish.
    """

    shell: Annotated[Shell, Positional()]
    """The shell that is to read it."""


def completion(settings: CompletionCommand) -> None:
    """Print the script."""
    options = {name: options_of(command.settings) for name, command in COMMANDS.items()}
    show(SHELLS[settings.shell](options).rstrip("\n"))


def bash(options: Options) -> str:
    """Words after commands, after options, and after the names of commands."""
    names = {name: [*_typed(own), *OTHERS] for name, own in options.items()}
    values = {
        f'"{name} {name if one.is_positional else one.name}"': one.choices
        for name, own in options.items()
        for one in own
        if one.choices
    }

    def lines(cases: Mapping[str, Iterable[str]]) -> str:
        return "\n".join(f'            {case}) words="{" ".join(words)}" ;;' for case, words in cases.items())

    script = BASH.replace("@COMMANDS@", " ".join(options))
    return script.replace("@OPTIONS@", lines(names)).replace("@VALUES@", lines(values))


def zsh(options: Options) -> str:
    """One call of _arguments a command, which shows texts as well."""
    summaries = {name: command.summary for name, command in COMMANDS.items()} | {"help": "Show a page of help."}
    commands = "\n".join(f"        {_quoted(f'{name}:{text}')}" for name, text in summaries.items())
    calls = []
    for name, own in options.items():
        specs = [spec for one in own for spec in _zsh_specs(one)]
        specs += [_quoted(f"{word}[{text}]") for word, text in OTHERS.items()]
        calls.append(f"        {name}) _arguments " + " ".join(specs) + " ;;")
    return ZSH.replace("@COMMANDS@", commands).replace("@OPTIONS@", "\n".join(calls))


def _zsh_specs(option: Option) -> Iterable[str]:
    text = _zsh_text(_short(option))
    choices = f"({' '.join(option.choices)})" if option.choices else ""
    action = choices or ("_files" if option.reads_files else " ")
    if option.choices and option.reads_files:
        # the space in front has zsh call it as it is
        action = f' _alternative "names\\:name\\:{choices}" "files\\:file\\:_files"'
    if option.is_positional:
        yield _quoted(f"{'*' if option.takes_many else ''}:{option.name.lower()}:{action}")
    elif option.is_switch:
        yield _quoted(f"{option.name}[{text}]")
        yield _quoted(f"{option.opposite}[Not so.]")
    else:
        yield _quoted(f"{'*' if option.takes_many else ''}{option.name}[{text}]:{option.metavar}:{action}")


def _zsh_text(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "[]:\\" else sign for sign in text)


def fish(options: Options) -> str:
    """A line a command, option and name of an option's values."""
    lines = [
        f"complete -c rescale-fast -n __fish_use_subcommand -a {name} -d {_quoted(COMMANDS[name].summary)}"
        for name in options
    ]
    lines.append(f"complete -c rescale-fast -n '__fish_seen_subcommand_from help' -f -a {_quoted(' '.join(options))}")
    for name, own in options.items():
        start = f"complete -c rescale-fast -n '__fish_seen_subcommand_from {name}'"
        for one in own:
            choices = f" -a {_quoted(' '.join(one.choices))}" if one.choices else ""
            takes = "" if one.is_switch else (" -r" if one.reads_files else " -x")
            if not one.is_positional:
                lines.append(f"{start} -l {one.name[2:]}{takes}{choices} -d {_quoted(_short(one))}")
            elif choices:
                lines.append(f"{start} -f{choices}")
            if one.is_switch:
                lines.append(f"{start} -l {one.opposite[2:]} -d 'Not so.'")
        lines += [f"{start} -l {word[2:]} -d {_quoted(text)}" for word, text in OTHERS.items()]
    return FISH + "\n".join(lines)


def _typed(options: Iterable[Option]) -> list[str]:
    """The words by which options are typed."""
    named = [one for one in options if not one.is_positional]
    return [*(one.name for one in named), *(one.opposite for one in named if one.is_switch)]


def _short(option: Option) -> str:
    """What an option does, in a few words."""
    text = option.help.partition(". ")[0]
    return text if len(text) <= 70 else text[:67].rpartition(" ")[0] + " ..."


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


SHELLS: Registry[Callable[[Options], str]] = Registry({"bash": bash, "zsh": zsh, "fish": fish})
