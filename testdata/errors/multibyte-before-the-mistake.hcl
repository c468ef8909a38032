drill "multibyte-before-the-mistake" {
  description = "日本 👩‍🚀 ${nme}" # ERROR: Unknown reference
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "orders" {}
}
