# A cut is called by what it cuts: it means the drill's only target.
drill "partition-named-freely" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "network_partition" "cut" {
    duration = "60s"
    from     = { role = "primary" }
    to       = { role = "replica" }
  }

  objectives {
    dual_primary = "0s"
  }
}
