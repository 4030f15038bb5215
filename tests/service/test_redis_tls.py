"""Redis, a cluster and sentinels over TLS; the servers have none, so there is a front before each."""

from __future__ import annotations

import re
import ssl
from contextlib import ExitStack

import pytest
import trustme
from redis_servers import Cluster, Sentinel, Server, needs
from tls_front import Front

from langcache.service import LocalServer, StoreError


class Certificates:
    """A certificate authority, what it has issued, and the files of it."""

    def __init__(self, folder) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1", "localhost")
        self.files = {name: folder / f"{name}.pem" for name in ("ca", "key", "cert")}
        authority.cert_pem.write_to_path(self.files["ca"])
        issued.private_key_pem.write_to_path(self.files["key"])
        for part in issued.cert_chain_pems:
            part.write_to_path(self.files["cert"], append=True)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issued.configure_cert(self.context)
        authority.configure_trust(self.context)


@pytest.fixture
def certificates(tmp_path):
    needs()
    return Certificates(tmp_path)


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def front_of(server, certificates, stack):
    return stack.enter_context(Front(certificates.context, server.port))


def one(certificates, stack):
    front = front_of(stack.enter_context(Server()), certificates, stack)
    return f"rediss://127.0.0.1:{front.port}", [front]


def cluster(certificates, stack):
    cluster = Cluster()
    fronts = [front_of(node, certificates, stack) for node in cluster.nodes]
    for node, front in zip(cluster.nodes, fronts, strict=True):
        node.announce(front.port)
    stack.enter_context(cluster)
    return f"rediss+cluster://127.0.0.1:{fronts[0].port}", fronts


def sentinel(certificates, stack):
    master = stack.enter_context(Server())
    front = front_of(master, certificates, stack)
    sentinel = stack.enter_context(Sentinel(master, port=front.port))
    before = front_of(sentinel, certificates, stack)
    return f"rediss+sentinel://127.0.0.1:{before.port}/main", [front, before]


@pytest.mark.parametrize("kind", [one, cluster, sentinel], ids=["one", "cluster", "sentinel"])
async def test_entries_go_over_tls(kind, certificates, stack, embedder, api_of):
    url, fronts = kind(certificates, stack)
    with LocalServer(embedder=embedder, store=f"{url}?ssl_ca_certs={certificates.files['ca']}") as server:
        api = api_of(server)
        entry_id = await api.set("hello")
        assert [entry["id"] for entry in await api.search("hello")] == [entry_id]
    if kind is cluster:
        assert (
            sum(front.encrypted for front in fronts) >= 2
        )  # of the first node, and of the one with the slot
    else:
        assert all(front.encrypted for front in fronts)


@pytest.mark.parametrize("kind", [one, cluster, sentinel], ids=["one", "cluster", "sentinel"])
def test_a_certificate_that_is_not_trusted_is_refused(kind, certificates, stack, embedder):
    url, _ = kind(certificates, stack)
    with (
        pytest.raises(StoreError, match=r"127\.0\.0\.1") as raised,
        LocalServer(embedder=embedder, store=url),
    ):
        pass
    assert re.search("certificate verify failed|No master found", str(raised.value))


async def test_a_client_shows_its_certificate_where_one_is_asked_for(certificates, stack, embedder, api_of):
    certificates.context.verify_mode = ssl.CERT_REQUIRED
    url, _ = one(certificates, stack)
    files = {name: str(path) for name, path in certificates.files.items()}
    trusting = f"{url}?ssl_ca_certs={files['ca']}"
    with pytest.raises(StoreError, match="reached"), LocalServer(embedder=embedder, store=trusting):
        pass
    shown = f"{trusting}&ssl_certfile={files['cert']}&ssl_keyfile={files['key']}"
    with LocalServer(embedder=embedder, store=shown) as server:
        await api_of(server).set("hello")
        assert len(await api_of(server).search("hello")) == 1
