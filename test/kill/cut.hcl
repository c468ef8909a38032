# The one member is cut off from another pod on its node. Its clients still reach it.
drill "partition" {
  timeout = "4m"

  target "postgresql" "orders" {
    namespace = "NAMESPACE"
    selector  = "app=orders"
    service   = "orders"
    dsn       = secret("orders-drill", "uri")
  }

  steady_state {
    hold    = "8s"
    timeout = "2m"
  }

  fault "network_partition" "cut" {
    target   = "orders"
    duration = "HOLD"
    from     = { role = "primary" }
    to       = { selector = "app=peer" }
  }

  objectives {
    lost_writes = 0
  }
}
