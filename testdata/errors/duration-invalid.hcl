drill "duration-invalid" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  timeout = "10 minutes" # ERROR: Invalid duration
}
