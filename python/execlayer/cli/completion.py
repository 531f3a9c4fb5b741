"""Print the completion of commands and options for a shell, made from what the commands understand.

bash: eval "$(execlayer completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc after compinit. fish:
execlayer completion fish > ~/.config/fish/completions/execlayer.fish.
"""

from __future__ import annotations

import argparse
import json

from .codes import DONE

EXAMPLES = """examples:
  execlayer completion bash
  execlayer completion zsh
  execlayer completion fish
  execlayer completion bash --json              the words by command, for programs"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])


def run(options: argparse.Namespace) -> int:
    """Prints it."""
    from . import _parser

    words = _words(_parser())
    shells = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    print(json.dumps(words) if options.json else shells[options.shell](words))
    return DONE


def _words(parser: argparse.ArgumentParser) -> dict[str, dict[str, str]]:
    """Under each command ("": none yet) its words, with what they are for."""
    words: dict[str, dict[str, str]] = {"": _own(parser)}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                words[""][choice.dest] = choice.help or ""
            for name, command in action.choices.items():
                words[name] = _own(command)
    return words


def _own(parser: argparse.ArgumentParser) -> dict[str, str]:
    own = {}
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction):
            continue
        names = action.option_strings or [str(choice) for choice in action.choices or ()]
        own.update(dict.fromkeys(names, (action.help or "").replace("%%", "%")))
    return own


def _bash(words: dict[str, dict[str, str]]) -> str:
    cases = "\n".join(f'    {name}) words="{" ".join(own)}" ;;' for name, own in words.items() if name)
    return f"""_execlayer() {{
  local words="{" ".join(words[""])}"
  if [ "$COMP_CWORD" -gt 1 ]; then
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -o bashdefault -F _execlayer execlayer"""


def _zsh(words: dict[str, dict[str, str]]) -> str:
    def listed(own: dict[str, str]) -> str:
        return " ".join(_quoted(f"{name}:{about}") for name, about in own.items())

    cases = "\n".join(f"    *:{name}) entries=({listed(own)}) ;;" for name, own in words.items() if name)
    return f"""_execlayer() {{
  local -a entries
  case "$CURRENT:$words[2]" in
    2:*) entries=({listed(words[""])}) ;;
{cases}
  esac
  _describe execlayer entries
  _files
}}
compdef _execlayer execlayer"""


def _fish(words: dict[str, dict[str, str]]) -> str:
    lines = []
    for command, own in words.items():
        where = f"__fish_seen_subcommand_from {command}" if command else "__fish_use_subcommand"
        for name, about in own.items():
            kind = (
                f"-l {name[2:]}"
                if name.startswith("--")
                else f"-s {name[1:]}"
                if name.startswith("-")
                else f"-a {name}"
            )
            lines.append(f"complete -c execlayer -n {_quoted(where)} {kind} -d {_quoted(about)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "'\\''") + "'"
