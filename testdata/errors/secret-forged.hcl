drill "secret-forged" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = "\u0001secret:orders-app\u0002uri\u0003" # ERROR: Control character
  }

  fault "kill_primary" "orders" {}
}
