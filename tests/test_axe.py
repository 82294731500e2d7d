"""Nothing stands in a reader's way on any page: all rules of axe-core, none left out."""

import pytest

from tests import chromium
from tests.barriers import barriers
from tests.serving import served
from tests.test_book import HTML, PAGES
from tests.test_browser import CHROMIUM, FLAGS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=chromium.missing()),
]


@pytest.fixture(scope="module")
def found():
    """What stands in a reader's way, page by page; looked for once."""
    with served(HTML) as site:
        addresses = {page: f"{site}/{page}.html" for page in PAGES}
        typeset = [addresses["book/foundations/one_mode"], addresses["book/convergence/shallow"]]
        return dict(zip(PAGES, barriers(CHROMIUM, FLAGS, [*addresses.values()], typeset), strict=True))


@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_no_barrier_on_a_page_in_either_mode_on_a_laptop_or_a_phone(found, page):
    assert not found[page]
