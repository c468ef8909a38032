"""Clients that are not drill's: one writes through the Service and one to each member by its own name, and each says on
the machine's monotonic clock when it tried and what came of it. A line is: client, number, before, after, outcome, by."""
import os
import threading
import time

import psycopg2
from psycopg2.errors import ReadOnlySqlTransaction

SERVICE = "orders.shop.svc.cluster.local"
MEMBER = "{}.orders-members.shop.svc.cluster.local"


def client(name, dsn, every):
    conn, number = None, 0
    while True:
        number += 1
        by = "-"
        before = time.monotonic()
        try:
            if conn is None:
                conn = psycopg2.connect(dsn, connect_timeout=2, options="-c statement_timeout=1000")
                conn.autocommit = True
            with conn.cursor() as cursor:
                cursor.execute("INSERT INTO witness VALUES (%s, %s) RETURNING host(inet_server_addr())", (name, number))
                by = cursor.fetchone()[0]
            outcome = "ok"
        except psycopg2.Error as e:
            outcome = "failed"
            # A member's own client stays with it. The Service's tries whether it is led elsewhere.
            if conn is not None and not (isinstance(e, ReadOnlySqlTransaction) and name != "service"):
                conn.close()
                conn = None
        after = time.monotonic()
        print(f"{name} {number} {before:.6f} {after:.6f} {outcome} {by}", flush=True)
        time.sleep(max(0, before + every - time.monotonic()))


uri = os.environ["URI"]
with psycopg2.connect(uri) as first:
    first.cursor().execute("DROP TABLE IF EXISTS witness; CREATE TABLE witness (client text, number bigint)")
first.close()
threading.Thread(target=client, args=("service", uri, 0.02)).start()
for member in ("orders-0", "orders-1", "orders-2"):
    threading.Thread(target=client, args=(member, uri.replace(SERVICE, MEMBER.format(member)), 0.05)).start()
