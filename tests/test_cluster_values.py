"""What `torchgrade hub cluster` writes: values for the charts, from the same two files as on one machine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_class import CLUSTER_TOML, GPU_TOML, described
from hub_course import CLASS_TOML, ROSTER_CSV, class_folder
from jupyterhub.app import JupyterHub
from jupyterhub.scopes import scope_definitions
from jupyterhub.spawner import Spawner
from torchgrade.cli import main
from torchgrade.errors import CourseError
from torchgrade.hub.cluster import access, gpu, render, values
from torchgrade.hub.cluster.dask import gateway_values

ROOT = Path(__file__).parents[1]
CHARTS = "TORCHGRADE_CHARTS"  # a folder that holds the charts jupyterhub/ and dask-gateway/
# Of JupyterHub 6; the chart's hub is 5.5.0.
ONLY_IN_6 = ("extra_user_scopes", "start:servers", "auth_refresh_strict", "reconcile_auth_state_hook", "user_info")


def in_course(root: Path, toml: str = CLASS_TOML + CLUSTER_TOML + GPU_TOML, roster: str = ROSTER_CSV) -> Path:
    """A folder that torchgrade takes for a course."""
    class_folder(root, toml, roster)
    (root / "source").mkdir()
    (root / "nbgrader_config.py").write_text("c = get_config()\n")
    return root


def written(root: Path, **files: str) -> dict[str, list[Any]]:
    course = in_course(root, **files)
    assert render.run(course, root / "out") == 0
    return {path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted((root / "out").iterdir())}


def changed(before: Any, after: Any, place: str = "") -> set[str]:
    """Where two documents differ, as paths."""
    if isinstance(before, dict) and isinstance(after, dict):
        return set().union(
            *(changed(before.get(key), after.get(key), f"{place}/{key}") for key in before.keys() | after.keys())
        )
    return set() if before == after else {place}


def test_the_class_in_the_repository_can_be_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["hub", "cluster", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "Nothing was sent to a cluster." in said and "--version 4.4.0" in said
    assert "hub/user-redirect/git-pull?repo=https%3A%2F%2Fgit.example.org%2Fpytorch-release.git&branch=main" in said


def test_files_are_for_the_operator_alone(tmp_path):
    written(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


@pytest.mark.parametrize(
    ("toml", "roster", "said"),
    [
        (GPU_TOML.replace("T4", "TPU"), ROSTER_CSV, "class.toml:26: there is no GPU of kind 'TPU'. Use one of T4"),
        ("", ROSTER_CSV + "student-01,student,,,\n", "roster.csv:6: student-01 is there already, in line 4."),
        ("colour = 1\n", ROSTER_CSV, "'colour' is not known in [cluster]. There are: address"),
    ],
)
def test_a_class_that_cannot_be_is_refused_with_one_line(tmp_path, monkeypatch, capsys, toml, roster, said):
    monkeypatch.chdir(in_course(tmp_path, CLASS_TOML + CLUSTER_TOML + toml, roster))
    assert main(["hub", "cluster"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("torchgrade: ") and said in line
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (CLUSTER_TOML, "", "class.toml: it describes no cluster. Add the table [cluster]."),
        ("student:2026-09-01", "student:latest", "names no exact image."),
        ("student:2026-09-01", "student", "names no exact image."),
        ("https://hub", "http://hub", "'http://hub.example.org' is no address."),
        ("hub.example.org", "hub.example.org/x", "is more than a name."),
        ('"20G"', '"20"', "'20' is no size of a volume. Write it as 20G or 1T."),
        ('"nfs"', '"N F S"', "'N F S' is no storage class."),
        ('homes = "100G"', "", "'homes' of [cluster] is missing."),
    ],
)
def test_a_bad_cluster_is_named_with_the_remedy(tmp_path, old, new, said):
    toml = CLASS_TOML + CLUSTER_TOML
    assert old in toml
    with pytest.raises(CourseError) as error:
        render.run(in_course(tmp_path, toml.replace(old, new)), tmp_path / "out")
    assert said in str(error.value)


def test_another_student_changes_that_students_mounts_and_nothing_of_the_others(tmp_path):
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before = written(tmp_path / "before")
    after = written(tmp_path / "after", roster=ROSTER_CSV.replace("student-02,", "student-09,"))
    hub = changed(before["hub.yaml"][0], after["hub.yaml"][0])
    people = "/hub/extraFiles/class/data/people"
    assert {path for path in hub if path.startswith("/hub/extraFiles")} == {
        f"{people}/student-02",
        f"{people}/student-09",
    }
    assert hub - {f"{people}/student-02", f"{people}/student-09"} == {
        "/hub/config/Authenticator/allowed_users",
        "/hub/config/JupyterHub/load_groups/nbgrader-pytorch/users",
    }
    assert "student-02" not in json.dumps(after)
    others = [name for name in before if name not in ("hub.yaml", "manifests.yaml")]
    assert [name for name in others if before[name] != after[name]] == []
    (job_before,), (job_after,) = (
        [one for one in files["manifests.yaml"] if one["metadata"]["name"].startswith("roster-")]
        for files in (before, after)
    )
    assert job_before["metadata"]["name"] != job_after["metadata"]["name"]


def test_a_new_mail_address_changes_no_mount_and_runs_no_job(tmp_path):
    (tmp_path / "before").mkdir()
    (tmp_path / "after").mkdir()
    before = written(tmp_path / "before")
    after = written(tmp_path / "after", roster=ROSTER_CSV.replace("Ben,Example,", "Ben,Example,ben@example.org"))
    assert before["hub.yaml"] == after["hub.yaml"]
    names = [[one["metadata"]["name"] for one in files["manifests.yaml"]] for files in (before, after)]
    assert names[0] == names[1]


def test_nobody_can_log_in_until_the_operator_says_how(tmp_path):
    config = values.values(*described(tmp_path))["hub"]["config"]
    assert config["JupyterHub"]["authenticator_class"] == "null"
    assert config["Authenticator"]["allow_all"] is False and config["Authenticator"]["allow_existing_users"] is False
    assert config["Authenticator"]["allowed_users"] == ["instructor", "student-01", "student-02", "ta"]


def test_every_setting_of_the_hub_exists_and_none_is_of_jupyterhub_6_alone(tmp_path):
    made = values.values(*described(tmp_path))
    config = made["hub"]["config"]
    assert set(config["Spawner"]) <= set(Spawner.class_trait_names())
    assert set(config["JupyterHub"]) <= set(JupyterHub.class_trait_names())
    text = json.dumps(made)
    assert [name for name in ONLY_IN_6 if name in text] == []


def test_scopes_exist_and_students_get_nobody_elses_server(tmp_path):
    description, _ = described(tmp_path)
    roles = access.roles(description)
    for scope in [*access.SERVER_SCOPES, *(scope for role in roles.values() for scope in role["scopes"])]:
        assert re.sub("!.*", "", scope) in scope_definitions, scope
    reach = [(name, scope) for name, role in roles.items() for scope in role["scopes"] if scope.startswith("access:")]
    assert reach == [
        ("staff-pytorch", "access:servers!user=grader-pytorch"),
        ("grading-pytorch", "access:services!service=dask-gateway"),
    ]
    assert roles["staff-pytorch"]["groups"] == ["formgrade-pytorch"]
    assert roles["grading-pytorch"]["users"] == ["grader-pytorch"] and "groups" not in roles["grading-pytorch"]
    named = {service for role in roles.values() for service in role.get("services", [])}
    assert named <= access.services().keys(), "a role of a service that the hub does not know ends the hub"


def test_idle_servers_are_stopped_and_limits_hold(tmp_path):
    made = values.values(*described(tmp_path))
    assert made["cull"] == {"enabled": True, "timeout": 3600, "maxAge": 43200, "every": 300}
    assert made["singleuser"]["memory"] == {"limit": "2G", "guarantee": "2G"}
    assert made["singleuser"]["cpu"]["limit"] == 2 and made["hub"]["activeServerLimit"] == 8


def test_a_card_of_students_is_divided_and_one_for_grading_is_not(tmp_path):
    description, cluster = described(tmp_path)
    assert description.gpu is not None
    plugin = gpu.device_plugin(description.gpu)["config"]
    assert "sharing" not in yaml.safe_load(plugin["map"]["speed"])
    sharing = yaml.safe_load(plugin["map"]["students"])["sharing"]["timeSlicing"]
    assert sharing["resources"] == [{"name": "nvidia.com/gpu", "replicas": 2}]
    assert sharing["renameByDefault"] and sharing["failRequestsGreaterThanOne"]
    worker = gateway_values(description, cluster)["gateway"]["backend"]["worker"]
    assert worker["extraContainerConfig"]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert worker["extraPodConfig"]["nodeSelector"] == {"torchgrade/pool": "speed"}
    assert gpu.TOLERATION in worker["extraPodConfig"]["tolerations"]


def test_images_with_a_digest_stay_pinned():
    assert values.name_and_tag("r.example.org/a/b:1") == {"name": "r.example.org/a/b", "tag": "1"}
    digest = f"r.example.org:5000/a/b@sha256:{'0' * 64}"
    named = values.name_and_tag(digest)
    assert f"{named['name']}:{named['tag']}" == digest


@pytest.mark.parametrize(("chart", "file"), [("jupyterhub", "hub.yaml"), ("dask-gateway", "dask-gateway.yaml")])
def test_the_chart_takes_the_values(tmp_path, chart, file):
    folder = Path(os.environ.get(CHARTS, "/nowhere")) / chart
    if not folder.is_dir() or not shutil.which("helm"):
        pytest.skip(f"not rendered: {chart} needs helm, and a folder with the charts in {CHARTS}")
    written(tmp_path)
    command = ["helm", "template", "class", str(folder), "-f", str(tmp_path / "out" / file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "kind: Deployment" in done.stdout
