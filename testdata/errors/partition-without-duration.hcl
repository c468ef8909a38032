drill "partition-without-duration" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "network_partition" "cut" { # ERROR: Missing required argument
    target = "orders"
    from   = { role = "primary" }
    to     = { role = "replica", api_server = true }
  }
}
