drill "fault-partition-one-side" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "network_partition" "cut" { # ERROR: Missing required argument
    target   = "orders"
    duration = "30s"
    from     = { role = "primary" }
  }
}
