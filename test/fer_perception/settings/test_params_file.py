from __future__ import annotations

import os
from pathlib import Path

import pytest

from fer_perception.errors import ConfigError
from fer_perception.settings.params_file import (
    Section,
    passed_over,
    qos_problem,
    read_parameters,
    read_pipeline_settings,
    read_sections,
)
from fer_perception.settings.pipeline_settings import PipelineSettings


def write(path: Path, text: str) -> Path:
    file = path / "params.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "text",
    [
        "filter: ema\nthreads: 1\n",
        "/**:\n  ros__parameters:\n    filter: ema\n    threads: 1\n",
        "fer:\n  ros__parameters:\n    filter: ema\n    threads: 1\n",
        "/robot:\n  fer:\n    ros__parameters:\n      filter: ema\n      threads: 1\n",
        "robot:\n  head:\n    fer:\n      ros__parameters:\n        filter: ema\n        threads: 1\n",
        "/**:\n  ros__parameters:\n    threads: 1\nfer:\n  ros__parameters:\n    filter: ema\n",
        "ros__parameters:\n  filter: ema\n  threads: 1\n",
    ],
)
def test_every_layout(tmp_path: Path, text: str) -> None:
    assert read_pipeline_settings(write(tmp_path, text)) == PipelineSettings(filter="ema", threads=1)


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert read_pipeline_settings(write(tmp_path, "# nothing\n")) == PipelineSettings()


def test_what_only_the_node_knows_is_skipped(tmp_path: Path) -> None:
    lines = ["autostart: false", "use_sim_time: true", "image_topics: ['']", "max_faces: 3"]
    text = "\n    ".join(["/**:\n  ros__parameters:", *lines])
    settings = read_pipeline_settings(write(tmp_path, text))
    assert settings == PipelineSettings(max_faces=3)


def test_nested_node_parameters_are_skipped(tmp_path: Path) -> None:
    text = "/**:\n  ros__parameters:\n    qos_overrides:\n      /emotions:\n        publisher:\n          depth: 3\n"
    path = write(tmp_path, text)
    assert read_pipeline_settings(path) == PipelineSettings()
    assert read_parameters(path) == {"qos_overrides./emotions.publisher.depth": 3}


@pytest.mark.parametrize("node", ["image_source", "other_node", "/robot/camera/driver"])
def test_a_section_for_another_node_is_passed_over(tmp_path: Path, node: str) -> None:
    text = f"{node}:\n  ros__parameters:\n    rate: 5.0\n    source: a.mp4\nfer:\n  ros__parameters:\n    threads: 1\n"
    path = write(tmp_path, text)
    assert read_pipeline_settings(path) == PipelineSettings(threads=1)
    assert read_parameters(path) == {"threads": 1}
    assert [section.node for section in read_sections(path)] == [f"/{node.strip('/')}", "/fer"]


def test_what_the_image_source_has_for_itself_is_not_told(tmp_path: Path) -> None:
    path = write(tmp_path, "fer: {ros__parameters: {threads: 1}}\nimage_source: {ros__parameters: {source: a.mp4}}\n")
    assert passed_over(path) == []


def test_what_every_node_has_is_not_told(tmp_path: Path) -> None:
    camera = "{frame_id: c, use_sim_time: true, qos_overrides: {/image: {publisher: {depth: 1}}}}"
    path = write(tmp_path, f"fer: {{ros__parameters: {{threads: 1}}}}\ncamera: {{ros__parameters: {camera}}}\n")
    assert passed_over(path) == []


def test_our_parameters_in_another_nodes_section_are_told(tmp_path: Path) -> None:
    path = write(tmp_path, "fer: {ros__parameters: {threads: 1}}\nother_node: {ros__parameters: {threads: 7, x: 1}}\n")
    assert read_pipeline_settings(path).threads == 1
    (told,) = passed_over(path)
    assert "the section /other_node is not for fer: threads there changes nothing" in told
    assert "params.yaml" in told


def test_a_file_that_has_nothing_for_us_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "camera: {ros__parameters: {fps: 5}}\n")
    assert read_pipeline_settings(path) == PipelineSettings()
    (told,) = passed_over(path)
    assert "has no section for fer, so nothing is taken from it (there are: /camera)" in told
    assert passed_over(write(tmp_path, "threads: 1\n")) == []
    assert passed_over(write(tmp_path, "")) == []


def test_two_sections_for_us_that_differ_are_refused(tmp_path: Path) -> None:
    section = "{name}: {{ros__parameters: {{threads: {threads}}}}}\n"
    for second, same in ((3, False), (1, True)):
        text = section.format(name="/a/fer", threads=1) + section.format(name="/b/fer", threads=second)
        path = write(tmp_path, text)
        if same:
            assert read_pipeline_settings(path).threads == 1
            continue
        for read in (read_pipeline_settings, read_parameters):
            with pytest.raises(ConfigError, match=r"params\.yaml: the sections /a/fer and /b/fer .* differ.*leave one"):
                read(path)


def test_the_later_of_a_section_for_all_and_ours_wins_as_in_ros(tmp_path: Path) -> None:
    ours, everybody = "fer: {ros__parameters: {threads: 3}}\n", "/**: {ros__parameters: {threads: 1}}\n"
    assert read_pipeline_settings(write(tmp_path, everybody + ours)).threads == 3
    assert read_pipeline_settings(write(tmp_path, ours + everybody)).threads == 1


def test_parameters_of_the_node_beside_ours_may_stand_in_the_section_for_all(tmp_path: Path) -> None:
    assert read_pipeline_settings(write(tmp_path, "/**: {ros__parameters: {source: a.mp4}}\n")) == PipelineSettings()
    with pytest.raises(ConfigError, match="no setting 'source'"):
        read_pipeline_settings(write(tmp_path, "fer: {ros__parameters: {source: a.mp4}}\n"))


def test_a_value_outside_of_the_sections_is_refused(tmp_path: Path) -> None:
    text = "fer: {ros__parameters: {threads: 1}}\nthreads: 7\n"
    with pytest.raises(ConfigError, match=r"params\.yaml: 'threads' lies outside of any ros__parameters"):
        read_pipeline_settings(write(tmp_path, text))


@pytest.mark.parametrize(
    "name", ["/emotions.publisher.deepth", "/emotions.publischer.depth", "emotions.publisher.depth"]
)
def test_unknown_parameters_under_qos_overrides_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no parameter 'qos_overrides\.{name}'; expected .*depth"):
        read_pipeline_settings(write(tmp_path, f"/**: {{ros__parameters: {{qos_overrides.{name}: 3}}}}\n"))
    assert qos_problem("qos_overrides./emotions.publisher.depth") == qos_problem("threads") == ""


@pytest.mark.parametrize(
    ("section", "node", "reads"),
    [
        ("/**", "/robot/fer", True),
        ("/*", "/fer", True),
        ("/*", "/robot/fer", False),
        ("/**/fer", "/fer", True),
        ("/**/fer", "/a/b/fer", True),
        ("/*/fer", "/a/fer", True),
        ("/*/fer", "/fer", False),
        ("/robot/fer", "/fer", False),
        ("/fer_node", "/fer", False),
        ("/robot/fer", "fer", True),
        ("/fer_node", "fer", False),
    ],
)
def test_which_node_reads_a_section(section: str, node: str, reads: bool) -> None:
    assert Section(section, {}).is_for(node) is reads


def test_zero_turns_the_neutral_share_off(tmp_path: Path) -> None:
    assert read_pipeline_settings(write(tmp_path, "neutral_share: 0\n")) == PipelineSettings()
    assert read_pipeline_settings(write(tmp_path, "neutral_share: 0.05\n")).neutral_share == 0.05


def test_a_model_is_looked_for_beside_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.onnx").write_bytes(b"")
    monkeypatch.chdir("/")
    assert read_pipeline_settings(write(tmp_path, "model: mine.onnx\n")).model == str(tmp_path / "mine.onnx")
    assert read_pipeline_settings(write(tmp_path, "model: other.onnx\n")).model == "other.onnx"
    assert read_pipeline_settings(write(tmp_path, "model: arch1_ferplus\n")).model == "arch1_ferplus"


def test_overrides_win(tmp_path: Path) -> None:
    assert read_pipeline_settings(write(tmp_path, "threads: 4\n"), threads=1).threads == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("detection_treshold: 0.5\n", "did you mean 'detection_threshold'"),
        ("threads: many\n", "threads is 'many'"),
        ("filter: kalman\n", "expected one of: none, ema, hmm"),
        ("neutral_share: 0.03\n", "neutral_share is 0.03; expected 0 or a number from 0.05 to 0.95"),
        ("neutral_share: 1\n", "neutral_share is 1.0; expected 0 or a number from 0.05 to 0.95"),
        ("neutral_share: .nan\n", "neutral_share is nan; expected 0 or"),
        ("- a\n- b\n", "holds a list"),
        ("a: [\n", "no valid YAML"),
        ("fer:\n  ros__parameters: 3\n", "holds a int"),
        ("!!python/object/apply:os.system ['true']\n", "no valid YAML"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_pipeline_settings(write(tmp_path, text))
    assert words in str(caught.value)
    assert "params.yaml" in str(caught.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_parameters(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_parameters(tmp_path / "binary.yaml")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    """`--params <(...)` of a shell: what is read twice would be empty the second time, and the defaults would count."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match="is a pipe, which can be read only once"):
        read_parameters(pipe)


def test_the_shipped_configurations_are_accepted(repository: Path) -> None:
    files = sorted((repository / "config").glob("*.yaml"))
    assert files
    for path in files:
        read_pipeline_settings(path)


@pytest.mark.parametrize("text", ["a: 2024-13-45", f"a: {'9' * 5000}", "[" * 2000])
def test_yaml_that_fails_in_its_own_ways(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="no valid YAML"):
        read_pipeline_settings(write(tmp_path, text))


@pytest.mark.parametrize("value", ["!!timestamp x", '!!int ""', "2001-13-45", "[" * 2000])
def test_values_that_yaml_cannot_make_are_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"params\.yaml is no valid YAML"):
        read_parameters(write(tmp_path, f"threads: {value}\n"))


def test_aliases_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    doubled = "".join(f"m{i}: &m{i} {{a: *m{i - 1}, b: *m{i - 1}}}\n" for i in range(1, 40))
    lists = "".join(f"l{i}: &l{i} [*l{i - 1}, *l{i - 1}]\n" for i in range(1, 40))
    for text in ("a: &a {b: *a}\n", "m0: &m0 {a: 1}\n" + doubled, "l0: &l0 [1]\n" + lists):
        with pytest.raises(ConfigError, match=r"unfolds to more than .* without aliases"):
            read_parameters(write(tmp_path, text))
    assert read_parameters(write(tmp_path, "a: &a {x: 1}\nb: *a\n")) == {"a.x": 1, "b.x": 1}
