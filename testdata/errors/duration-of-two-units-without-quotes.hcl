drill "duration-of-two-units-without-quotes" {
  timeout = "10m"

  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}

  objectives {
    recovery_time = 1m30s # ERROR: Duration without quotes
    lost_writes   = 0
  }
}
