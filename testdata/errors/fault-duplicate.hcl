drill "fault-duplicate" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  fault "pod_kill" "orders" { # ERROR: Duplicate name
    count = 1
    after = "20s"
  }
}
