"""Overrides in Hydra's grammar: quoting, and Hydra's errors in one line."""

from __future__ import annotations

import re
import shlex

from pneumo_ad.errors import ConfigError, did_you_mean


def quoted(override: str) -> str:
    r"""Quote an override's value, so that Hydra takes it literally.

    >>> print(quoted("data.root=/my data (1)/x=y"), quoted('a="b"'))
    data.root="/my data (1)/x=y" a="\"b\""
    """
    key, _, value = override.partition("=")
    doubled = re.sub(r'\\+(?="|\Z)', lambda found: 2 * found.group(), value)  # elsewhere a backslash is literal
    return f'{key}="' + doubled.replace('"', '\\"') + '"'


def for_hydra(override: str) -> str:
    """Return an override that Hydra accepts: as typed, or with its value quoted if the grammar does not accept it.

    Raises:
        ConfigError: An ill-formed value that may be meant as a list, a mapping, quoted text or several values; says
            how to quote it.

    >>> for_hydra("data.root=/my data (1)/x"), for_hydra("logger=[csv,wandb]"), for_hydra("stride=4")
    ('data.root="/my data (1)/x"', 'logger=[csv,wandb]', 'stride=4')
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, value = override.partition("=")
    parser = OverridesParser.create()
    try:
        parser.parse_overrides([override])
        return override
    except HydraException:
        if not equals:
            raise ConfigError(f"{override} is not known; expected KEY=VALUE") from None
    in_quotes = quoted(override)
    try:
        parser.parse_overrides([in_quotes])
    except HydraException:
        raise ConfigError(f"{override}: {key!r} is no key") from None
    if value.startswith(("[", "{", "'", '"')) or "," in value:
        raise ConfigError(f"{override}: cannot be read; as plain text {key} takes {shlex.quote(in_quotes)}")
    return in_quotes


def hydra_words(reason: Exception) -> str:
    """Convert an error of Hydra about overrides to one line; see `check_keys.refusal`.

    Args:
        reason: Exception raised by Hydra or OmegaConf.
    """
    if isinstance(override := getattr(reason, "override", None), str) and "=" not in override:
        return f"{override} is not known; expected KEY=VALUE"
    words = " ".join(line.strip() for line in str(reason).partition("\nConfig search path")[0].splitlines())
    if options := getattr(reason, "options", None):  # of a group
        group, _, name = str(getattr(reason, "missing_cfg_file", "")).rpartition("/")
        part = next((one for one in sorted(options) if name in one.split("_")), name)  # slurm: submitit_slurm
        near = did_you_mean(part, options).replace("mean ", f"mean {group}=")
        return f"{group}={name} is not known{f'{near} There' if near else '; there'} are {', '.join(sorted(options))}"
    if words.startswith("Ambiguous value for argument"):
        override = words.split("'")[1]
        return f"{override}: several values need -m, which sweeps; as one: {shlex.quote(quoted(override))}"
    return words
