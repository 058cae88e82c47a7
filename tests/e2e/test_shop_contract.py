"""The shop's contract, held by the tests that its own team would write."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from failsoft.testing import contracts
from failsoft.testing.contractapp import import_app
from load.servers import EXAMPLES
from shop.api import app

LOCK = EXAMPLES / "shop" / "contract.lock.json"
OLDER = ("2025-03-01", "2025-11-15")


@pytest.mark.parametrize("case", contracts.round_trips(app), ids=str)
def test_migrations_lose_nothing(case: contracts.ContractCase) -> None:
    case.check()


@pytest.mark.parametrize("version", OLDER)
def test_bodies_of_old_clients_fit_the_code_of_today(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "shop.db"))
    statuses: Counter[int] = Counter()
    for case in contracts.old_samples(app, version):
        case.check()
        statuses[contracts.send_case(app, case).status] += 1

    # Carts of samples name products and carts that do not exist.
    assert statuses.keys() == {404, 422}


@pytest.mark.parametrize("case", contracts.down_fits(app), ids=str)
def test_old_clients_get_what_their_document_says(
    case: contracts.ContractCase,
) -> None:
    case.check()


def test_no_client_of_the_shop_breaks_unannounced() -> None:
    contracts.assert_covered(app, LOCK)
    assert contracts.skipped(app) == ()


def test_a_renamed_field_that_no_version_declares_is_named_with_its_cure(
    tmp_path: Path,
) -> None:
    """A colleague renames a field of the shop: the lock tells, before a client does."""
    shutil.copytree(EXAMPLES / "shop", tmp_path / "changed_shop")
    for file in (tmp_path / "changed_shop").glob("*.py"):
        text = file.read_text().replace("from shop", "from changed_shop")
        file.write_text(text.replace("charge_id", "payment_id"))
    try:
        changed = import_app("changed_shop.api:app", tmp_path)
    finally:
        sys.path.remove(str(tmp_path))

    with pytest.raises(AssertionError) as told:
        contracts.assert_covered(changed, LOCK)

    assert "response-required-property-removed" in str(told.value)
    assert 'rename = { "Order.charge_id" = "payment_id" }' in str(told.value)
