"""Where the files that ship with tracegen are: in the wheel beside the modules, else in the checkout."""

from pathlib import Path

PACKAGE = Path(__file__).parent


def path(name: str) -> Path:
    """Folder `name` (`prompts`, `sandboxes`, `recipes`) of the wheel or of the checkout.

    Raises FileNotFoundError where neither has it, which means a broken installation.
    """
    for parent in (PACKAGE / "_shipped", PACKAGE.parent):
        if (parent / name).is_dir():
            return parent / name
    raise FileNotFoundError(f"tracegen's own {name}/ is missing beside {PACKAGE} - reinstall tracegen")
