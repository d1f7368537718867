"""What the servers of this lab have in common."""

import grpc

from servicelab.servers import GRPCServer


def serve(stage, contract, service, servicer, name, **options):
    """A server of a service of the contract until the end of the part; ``servicer`` is any object with its methods."""
    add = getattr(contract.services, f"add_{service}Servicer_to_server")
    return stage.use(GRPCServer([(add, servicer)], name, **options))


def channel(stage, target: str, options=()):
    """A channel that shares no connection, closed at the end of the part."""
    return stage.use(grpc.insecure_channel(target, [*options, ("grpc.use_local_subchannel_pool", 1)]))


def stub_of(stage, contract, service, servicer):
    server = serve(stage, contract, service, servicer, service.lower())
    return getattr(contract.services, f"{service}Stub")(channel(stage, server.target))
