drill "fault-partition-of-selector" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "network_partition" "cut" {
    target   = "orders"
    duration = "30s"
    from     = { selector = "app in (" } # ERROR: Invalid selector
    to       = { role = "replica" }
  }
}
