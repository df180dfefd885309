"""The specs that ship with switchbench, as text. Nothing here imports torch or the parts of a spec."""

from importlib import resources

SHIPPED = resources.files("switchbench.configs")


def shipped() -> dict[str, str]:
    """Return the names of the shipped specs, each with its first comment line."""
    files = sorted(path.name for path in SHIPPED.iterdir())
    names = [file.removesuffix(".yaml") for file in files if file.endswith(".yaml")]
    return {name: shipped_text(name).splitlines()[0].removeprefix("# ") for name in names}


def shipped_text(name: str) -> str:
    """Return the YAML text of a shipped spec."""
    return SHIPPED.joinpath(f"{name}.yaml").read_text(encoding="utf-8")
