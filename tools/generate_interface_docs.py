"""Write config/fer.yaml, docs/parameters.md and docs/topics.md from the declarations in the code.

python tools/generate_interface_docs.py           write all
python tools/generate_interface_docs.py --check   exit 1 where one differs from the declarations
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import textwrap
from pathlib import Path
from typing import Any

import yaml

from fer_perception.ros.topics import NODE_TOPICS, ROS4HRI_TOPICS, SERVICES, SOURCE_TOPICS, Topic
from fer_perception.settings.declaration import Declaration, declaration_of, default_of
from fer_perception.settings.node_settings import ImageSourceSettings, NodeSettings
from fer_perception.settings.pipeline_settings import PipelineSettings

ROOT = Path(__file__).resolve().parent.parent
NOTE = "Made by tools/generate_interface_docs.py from the declarations in the code: change those, not this file."
RULES = """\
An explicit launch argument wins over the params file, which wins over the default. A parameter of `fer` that is not
live takes effect at the next configure (`ros2 lifecycle set /fer deactivate`, then `cleanup`, `configure` and
`activate`), `autostart` and those of `image_source` at the next start. A bad value is refused with a reason at run
time (whether topics and files of that name can be used shows at configure); one given at start keeps the node
unconfigured, with the reason in its log and on /diagnostics, until it is set right. Every topic also takes
`qos_overrides.<topic>.<publisher|subscription>.<reliability|durability|history|depth>`; those that each face has for
itself (REP-155) take one for all faces, named without the id, for example
`qos_overrides./humans/faces/roi.publisher.depth`.
"""
TOPIC_RULES = """\
A relative name takes the namespace of its node, `~/` its name too (`/fer/debug_image`); all can be remapped. The nodes
are `fer` and, where the last column says so, `image_source`. Every quality of service can be overridden by
`qos_overrides` (see [parameters](parameters.md)).
"""


def generate() -> dict[Path, str]:
    """The text of each generated file, by its path in the repository."""
    return {
        Path("config/fer.yaml"): params_file(),
        Path("docs/parameters.md"): tables(),
        Path("docs/topics.md"): topics_page(),
    }


def params_file() -> str:
    """A params file of the node `fer` with every parameter, its default and a comment."""
    lines = [f"# {NOTE}", "# Every parameter of the node `fer` with its default. Copy what you want to change.", "/**:"]
    lines.append("  ros__parameters:")
    for cls in (NodeSettings, PipelineSettings):
        for item in dataclasses.fields(cls):
            declared = declaration_of(cls, item.name)
            comment = " ".join(part for part in (declared.description, limits(declared), effect(declared)) if part)
            lines += textwrap.wrap(comment, 118, initial_indent="    # ", subsequent_indent="    # ")
            lines += [f"    {item.name}: {as_yaml(default_of(cls, item.name))}", ""]
    return "\n".join(lines[:-1]) + "\n"


def tables() -> str:
    """The parameters of both nodes as Markdown tables."""
    parts = [f"<!-- {NOTE} -->", "# Parameters", ""]
    parts += textwrap.wrap(RULES, 118)
    for title, classes in (("fer", (NodeSettings, PipelineSettings)), ("image_source", (ImageSourceSettings,))):
        parts += [
            "",
            f"## Node `{title}`",
            "",
            "| parameter | default | range | live | what it does |",
            "|---|---|---|---|---|",
        ]
        for cls in classes:
            for item in dataclasses.fields(cls):
                declared = declaration_of(cls, item.name)
                default = f"`{as_yaml(default_of(cls, item.name))}`"
                live = "yes" if declared.live else "no"
                parts.append(f"| `{item.name}` | {default} | {span(declared)} | {live} | {declared.description} |")
    return "\n".join(parts) + "\n"


def topics_page() -> str:
    """Topics and services of both nodes as a page with a Markdown table."""
    lines = [f"<!-- {NOTE} -->", "# Topics and services", ""]
    lines += textwrap.wrap(TOPIC_RULES, 118)
    lines += [
        "",
        "| name | type | direction | QoS: volatile, keep last | what it carries |",
        "|---|---|---|---|---|",
    ]
    lines += [topic_row(topic) for topic in (*NODE_TOPICS, *ROS4HRI_TOPICS)]
    lines += [
        f"| `{service.name}` | `{service.service_type}` | service | | {service.description} |" for service in SERVICES
    ]
    lines += [topic_row(topic, of="`image_source`: ") for topic in SOURCE_TOPICS]
    return "\n".join(lines) + "\n"


def topic_row(topic: Topic, of: str = "") -> str:
    """One topic as a row; `of` says which node's, where it is not `fer`."""
    # Our own messages have a page.
    types = " or ".join(
        f"[`{kind}`](messages.md)" if kind.startswith("fer_msgs/") else f"`{kind}`" for kind in topic.message_types
    )
    qos = f"{'reliable' if topic.reliable else 'best effort'}, {topic.depth}"
    return f"| `{topic.name}` | {types} | {topic.direction} | {qos} | {of}{topic.description} |"


def limits(declared: Declaration) -> str:
    """Range or choices as a sentence."""
    if declared.choices:
        return f"One of: {', '.join(map(str, declared.choices))}."
    return f"From {declared.range}.".replace("From 0 or", "0, or from") if declared.range else ""


def span(declared: Declaration) -> str:
    """Range or choices for a table's cell."""
    if declared.choices:
        return ", ".join(f"`{choice}`" for choice in declared.choices)
    return declared.range


def effect(declared: Declaration) -> str:
    """Moment at which a change takes effect."""
    return "Live." if declared.live else f"{declared.effect.capitalize()}."


def as_yaml(value: Any) -> str:
    """A default as YAML on one line; an empty string array is [''] in ROS."""
    value = (list(value) or [""]) if isinstance(value, tuple) else value
    return str(yaml.safe_dump(value, default_flow_style=True, width=1000)).removesuffix("...\n").strip()


def main() -> int:
    """Write or check the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file differs")
    check = parser.parse_args().check
    stale = []
    for path, text in generate().items():
        target = ROOT / path
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path))
        if not check:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'differs' if check else 'wrote'}: {', '.join(stale)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
