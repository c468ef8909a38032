drill "secret-as-field" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "network_partition" "orders" {
    duration = "60s"
    from     = { role = "primary", (sensitive("hunter2")) = "x" } # ERROR: Misplaced secret
    to       = { role = "replica" }
  }
}
