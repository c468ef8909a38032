drill "fault-after-wrong" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  fault "kill_primary" "again" {
    target = "orders"
    after  = 20 # ERROR: Invalid duration
  }

  fault "pod_kill" "third" {
    target = "orders"
    count  = 1
    aftr   = "20s" # ERROR: Unsupported argument
  }
}
