"""A stock gRPC client that knows nothing of Classpulse but its address: it finds everything by reflection.

Usage: stock_client.py HOST:PORT TERMINAL DATE
Prints one JSON object: the services, and the minutes of one terminal's day.
"""

import json
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


def main() -> None:
    address, terminal, date = sys.argv[1:]
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        request = GetMessageClass(pool.FindMessageTypeByName("classpulse.v1.GetTerminalDayRequest"))
        answer = GetMessageClass(pool.FindMessageTypeByName("classpulse.v1.TerminalDay"))
        call = channel.unary_unary(
            "/classpulse.v1.Usage/GetTerminalDay",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        day = call(request(terminal=terminal, date=date), timeout=20)
        print(json.dumps({"services": sorted(database.get_services()), "day": MessageToDict(day)}))


main()
