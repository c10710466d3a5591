"""Plans as a reviewer gets them: changed files, values of the environment, fields of a profile."""

from __future__ import annotations

from sandboxer.model.input_change import FileChange, InputChange
from sandboxer.model.lifecycle import Reason
from sandboxer.model.plan import EnvValues, Plan
from tests.support.plans import change, fields, plan_of

GONE_COMMIT = (
    "the repository does not have the applied commit 36cd21300000",
    "fetch the full history: `git fetch --unshallow`; in CI, fetch-depth: 0",
)

REVIEWS: dict[str, Plan] = {
    "input": plan_of(
        change(
            "shop",
            Reason.UPDATE_CHANGED,
            message="workspace.digest",
            pending=fields(spec__workspace__digest=("sha256:8e46", "sha256:77ef"), spec__ttl=("4h", "8h")),
            input=InputChange(
                "../shop",
                "main",
                "36cd213" + "0" * 33,
                "4fa1b22" + "0" * 33,
                commits=7,
                undone=1,
                subjects=("Raise the limit of the cart", "Format"),
                files=(
                    FileChange("M", "config/shop.conf", 3, 1),
                    FileChange("A", "logo.png", None, None),
                    FileChange("R", "docs/new name.md", 0, 0, None, "docs/old.md"),
                    FileChange("M", "run.sh", 0, 0, ("100644", "100755")),
                    FileChange("D", "legacy.py", 0, 40),
                ),
                count=25,
            ),
        ),
        change(
            "web",
            Reason.UPDATE_CHANGED,
            message="workspace.digest",
            pending=fields(spec__workspace__digest=("sha256:8e46", "sha256:77ef")),
            input=InputChange(
                ".",
                "HEAD",
                "36cd213" + "0" * 33,
                "4fa1b22" + "0" * 33,
                unknown="the repository does not have the applied commit 36cd21300000",
                hint="fetch the full history: `git fetch --unshallow`; in CI, fetch-depth: 0",
            ),
        ),
        change(
            "same",
            Reason.UPDATE_CHANGED,
            message="workspace.digest, workspace.path",
            pending=fields(
                spec__workspace__digest=("sha256:8e46", "sha256:77ef"), spec__workspace__path=("app", "shop")
            ),
            input=InputChange(
                "../shop",
                "main",
                "4fa1b22" + "0" * 33,
                "4fa1b22" + "0" * 33,
                commits=0,
                undone=0,
                files=(FileChange("A", "shop.conf", 3, 0),),
                count=1,
            ),
        ),
    ),
    "diff": plan_of(
        change(
            "shop",
            Reason.UPDATE_CHANGED,
            message="workspace.digest",
            input=InputChange(
                "../shop",
                "main",
                "36cd213" + "0" * 33,
                "4fa1b22" + "0" * 33,
                commits=1,
                undone=0,
                subjects=("Raise the limit of the cart",),
                files=(FileChange("M", "shop.conf", 1, 1), FileChange("M", "logo.png", None, None)),
                count=25,
                diff=(
                    "diff --git a/shop.conf b/shop.conf",
                    "--- a/shop.conf",
                    "+++ b/shop.conf",
                    "@@ -1,2 +1,2 @@",
                    " ````",
                    "-limit = 10",
                    "+limit = 20 <img> @all \x1b[2J",
                    "+token = (sensitive)",
                    "… 12 more lines of this file",
                    "diff --git a/logo.png b/logo.png",
                    "Binary files a/logo.png and b/logo.png differ",
                    "… 23 more files",
                ),
            ),
        ),
    ),
    "environment": plan_of(
        change(
            "web",
            Reason.UPDATE_CHANGED,
            message="env.A, env.B, env.C and 5 more",
            pending=fields(
                spec__env__A=("hmac:0a", "hmac:5f", EnvValues("info", "debug")),
                spec__env__B=("hmac:0a", None, EnvValues("", None)),
                spec__env__C=(None, "hmac:5f", EnvValues(None, " two\nlines\x1b[2J")),
                spec__env__D_TOKEN=("hmac:0a", "hmac:5f", EnvValues("(sensitive)", "(sensitive)")),
                spec__env__E=("hmac:0a", "hmac:5f", EnvValues("x" * 500 + "old", "x" * 500 + "new" + "y" * 500)),
                spec__env__F=("hmac:0a", "hmac:5f", EnvValues("(unknown)", "f", *GONE_COMMIT)),
                spec__env__G=("hmac:0a", "hmac:5f", EnvValues("(unknown)", "g", *GONE_COMMIT)),
                spec__env__H=("hmac:0a", "hmac:5f"),
                spec__secrets__KEPT__hmac=("hmac:0a", "hmac:5f"),
                spec__secrets__KEPT__version=(1, 2),
                spec__secrets__MOVED__from=("env:A", "env:B"),
                spec__secrets__NEW__from=(None, "file:secret.txt"),
                spec__secrets__NEW__hmac=(None, "hmac:5f"),
                spec__secrets__NEW__version=(None, 1),
                spec__secrets__OLD__from=("env:OLD", None),
                spec__secrets__OLD__hmac=("hmac:0a", None),
                spec__secrets__OLD__version=(1, None),
            ),
        )
    ),
    "profile": plan_of(
        change(
            "web",
            Reason.UPDATE_CHANGED,
            message="compose.files, network.egress, reachability.ports and 4 more",
            pending=fields(
                spec__compose__files=(["compose.yaml"], ["compose.yaml", "extra.yaml"]),
                spec__network__egress=("deny", "allow"),
                spec__profile=("profile.web", "profile.wide"),
                spec__reachability__ports=(
                    [{"name": "http", "service": "web", "port": 80}],
                    [{"name": "http", "service": "web", "port": 8080}, {"name": "db", "service": "db", "port": 5432}],
                ),
                spec__resources__pids=(512, 256),
                spec__runtime=("docker", "podman"),
                spec__setup__list=([{"a": 1}], ["x", " y"]),
                spec__syncPolicy__prune=(True, False),
                spec__workspace__digest=("sha256:8e46", "sha256:77ef"),
                spec__workspace__path=(".", "app"),
            ),
            drift=fields(
                services__web__config=("0a1b2c3d4e5f", "5f4e3d2c1b0a"),
                services__web__image=("0a1b2c3d4e5f", "5f4e3d2c1b0a"),
            ),
        )
    ),
}
