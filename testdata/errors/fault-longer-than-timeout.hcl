drill "fault-longer-than-timeout" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  timeout = "5m" # ERROR: Timeout too short

  fault "network_partition" "cut" {
    target   = "orders"
    after    = "2m"
    duration = "3m"
    from     = { role = "primary" }
    to       = { role = "replica" }
  }
}
