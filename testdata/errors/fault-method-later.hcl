drill "fault-method-later" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {
    method = "sigkill" # WARNING: Not available yet
  }
}
