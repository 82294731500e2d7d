"""Launch buttons open the commit or tag a published book was built from, not what the branch has become since.

``REVISION=v1.0.0 make book`` pins them, ``REVISION=HEAD`` to the commit of the checkout; without it they open the
branch of ``_config.yml``. The buttons that edit a page stay with the branch, for a commit cannot be edited.
"""

import os
import re
import subprocess


def resolve(revision, folder):
    """Return the commit that ``HEAD`` is, any other revision as it stands."""
    if revision != "HEAD":
        if revision and not re.fullmatch(r"[\w][\w./-]*", revision):
            raise SystemExit(f"REVISION needs a commit or a tag, got {revision!r}")
        return revision
    asked = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True)
    except OSError as error:
        raise SystemExit(f"REVISION=HEAD needs git: {error}") from None
    if done.returncode:
        raise SystemExit(f"REVISION=HEAD needs a git checkout: {done.stderr.strip()}")
    return done.stdout.strip()


def _read(app, config):
    config.gdln_revision = resolve(os.environ.get("REVISION", ""), app.srcdir)


def _pin(app, pagename, templatename, context, doctree):
    """Put the revision where the theme has put the branch: behind ``owner/name/``, or ``owner/name/blob/``."""
    if not app.config.gdln_revision:
        return
    options = app.config.html_theme_options
    name = options["repository_url"].rstrip("/").split("/", 3)[-1]
    branch = re.compile(rf"(?<=/{re.escape(name)}/)(blob/)?{re.escape(options['repository_branch'])}(?=[/?])")
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []) if group.get("label") == "launch-buttons" else []:
            if "url" in button:
                button["url"] = branch.sub(rf"\g<1>{app.config.gdln_revision}", button["url"])


def setup(app):
    """Register the value and the hooks; the theme makes its buttons at 501."""
    app.add_config_value("gdln_revision", "", "html")
    app.connect("config-inited", _read)
    app.connect("html-page-context", _pin, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
