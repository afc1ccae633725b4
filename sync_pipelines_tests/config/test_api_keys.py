"""Providers whose customers type a key."""

import pytest

from sync_pipelines.config import load_configuration
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.providers import PROVIDERS


def loaded(folder, text):
    (folder / "providers").mkdir()
    (folder / "providers" / "one.yaml").write_text(text)
    return load_configuration(folder, {}, providers=PROVIDERS)


def test_a_provider_with_typed_keys_needs_no_app(tmp_path):
    found = loaded(tmp_path, "provider_name: hubspot\nauth_type: API_KEY\n").providers["hubspot"]
    assert (found.auth_type, found.client.client_id) == ("api_key", "")


def test_a_provider_whose_customers_bring_their_own_apps_needs_none(tmp_path):
    found = loaded(tmp_path, "provider_name: salesforce\nauth_type: client_credentials\n").providers["salesforce"]
    assert (found.auth_type, found.client.client_id) == ("client_credentials", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("provider_name: hubspot\n", "one.yaml.*oauth.*is missing: add it"),
        ("provider_name: salesforce\nauth_type: api_key\n", "one.yaml:2.*auth_type.*Salesforce has no key to type"),
        (
            "provider_name: hubspot\nauth_type: client_credentials\n",
            "one.yaml:2.*auth_type.*HubSpot has no apps of cust",
        ),
        ("provider_name: hubspot\nauth_type: magic\n", "one.yaml:2.*auth_type"),
    ],
)
def test_what_cannot_be_is_told_where_it_stands(tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=message):
        loaded(tmp_path, text)
