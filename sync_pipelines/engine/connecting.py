"""Connecting and disconnecting as conversations with the vendor: a code becomes tokens, tokens end."""

from sync_pipelines.model.connection import OAuthClient
from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.flow import Flow
from sync_pipelines.model.provider import CodeGrant, Provider, Tokens


def tokens_by_code(provider: Provider, client: OAuthClient, grant: CodeGrant) -> Flow:
    """Returns the tokens that the vendor gives for a code of its login page. Reauthorize when it takes the code no
    more, ConfigurationError when it refuses the app."""
    if provider.exchange is None:
        raise ConfigurationError(f"Nobody connects to {provider.title} by its login page.")
    secret = client.client_secret.reveal()
    return provider.token_from((yield provider.exchange(client.client_id, secret, grant)))


def revoked(provider: Provider, client: OAuthClient, tokens: Tokens) -> Flow:
    """Ends the tokens at the vendor. Returns whether the vendor has a way to do that."""
    if provider.revoke is None:
        return False
    yield provider.revoke(client.client_id, client.client_secret.reveal(), tokens)
    return True
