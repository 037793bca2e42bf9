"""Which stage may import what, and that importing costs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rescale_fast
from rescale_fast import _core

PACKAGE = Path(rescale_fast.__file__).parent
STAGES = [
    *("datasets", "train", "predictions", "confusion", "class_subset", "scores", "image_subset", "evaluate", "export"),
    *("small", "quality", "report", "run"),
]
BASE = {
    *(
        "types",
        "errors",
        "extras",
        "settings",
        "files",
        "artifact",
        "cache",
        "lock",
        "machine",
        "ranks",
        "terminal",
        "workers",
    ),
}
# beton is the format; networks serves predictions and train; loaders is also for anybody's training code. All that is
# trained is trained by train's engine, so that it stands left of those who need a network of their own.
LIBRARIES = {"beton": ["image_subset"], "networks": ["datasets"], "loaders": []}
USES = {
    "predictions": {"networks", "train"},
    "scores": {"beton", "loaders", "train"},
    "loaders": {"beton"},
    "export": {"beton"},
    "small": {"beton"},
    "train": {"beton", "networks", "loaders"},
    "report": {"beton"},
    "run": {"networks", "loaders"},
}
HEAVY = {"torch", "torchvision", "nvidia", "ffcv", "matplotlib", "timm"}
BASE_MAY_IMPORT = set(sys.stdlib_module_names) | {"numpy", "rescale_fast"}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py"))


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name_of(path):
    return "rescale_fast." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path, *, top_level_only):
    """(module, names) for each import statement; those under `if TYPE_CHECKING:` do not run."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(tree.body) if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module, tuple(alias.name for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_stage_imports_only_artifact_types_from_its_left_and_nothing_from_its_right(path):
    part = part_of(path)
    if part in BASE or part in ("__init__", "__main__", "run", "api"):
        return
    for module, names in imports(path, top_level_only=False):
        if not module.startswith("rescale_fast"):
            continue
        targets = names if module == "rescale_fast" else module.split(".")[1:2]
        for target in targets:
            if target in BASE or target in (part, "_core") or target in USES.get(part, ()):
                continue
            allowed = LIBRARIES[part] if part in LIBRARIES else STAGES[: STAGES.index(part)]
            assert target in allowed, f"{name_of(path)} imports {module}: {target} is not to its left"
            if target == "confusion":
                assert names == ("ConfusionMatrix",), f"{name_of(path)} imports a maker of {target}: {names}"
            else:
                allowed = module.endswith((".types", ".published"))  # artifacts, and tables that others published
                assert allowed, f"{name_of(path)} imports {module}, which is not artifact types"


@pytest.mark.parametrize("path", [p for p in modules() if part_of(p) in BASE], ids=name_of)
def test_the_base_stands_on_the_standard_library_and_numpy(path):
    for module, names in imports(path, top_level_only=True):
        top = module.split(".")[0]
        assert top in BASE_MAY_IMPORT, f"{name_of(path)} imports {module}"
        if top == "rescale_fast":
            assert set(module.split(".")[1:2] or names) <= BASE, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", [p for p in modules() if not p.name.startswith("_")], ids=name_of)
def test_heavy_libraries_are_imported_inside_functions_or_private_modules(path):
    for module, names in imports(path, top_level_only=True):
        assert module.split(".")[0] not in HEAVY, f"{name_of(path)} imports {module} at its top"
        private = any(
            part.startswith("_") and part not in ("_core", "__version__") for part in (*module.split("."), *names)
        )
        assert not (module.startswith("rescale_fast") and private), f"{name_of(path)} imports {module} at its top"


def test_importing_the_command_line_loads_nothing_heavy():
    code = f"import sys, rescale_fast.run.commands; print([m for m in {sorted(HEAVY)} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_core_was_built_for_this_version():
    assert _core.__version__ == rescale_fast.__version__
