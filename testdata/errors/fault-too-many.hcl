drill "fault-too-many" {
  target "postgresql" "orders" {
    namespace = "shop"
    selector  = "application=patroni"
    dsn       = secret("orders-app", "uri")
  }

  fault "kill_primary" "f1" {
    target = "orders"
  }
  fault "kill_primary" "f2" {
    target = "orders"
  }
  fault "kill_primary" "f3" {
    target = "orders"
  }
  fault "kill_primary" "f4" {
    target = "orders"
  }
  fault "kill_primary" "f5" {
    target = "orders"
  }
  fault "kill_primary" "f6" {
    target = "orders"
  }
  fault "kill_primary" "f7" {
    target = "orders"
  }
  fault "kill_primary" "f8" {
    target = "orders"
  }
  fault "kill_primary" "f9" {
    target = "orders"
  }
  fault "kill_primary" "f10" {
    target = "orders"
  }
  fault "kill_primary" "f11" {
    target = "orders"
  }
  fault "kill_primary" "f12" {
    target = "orders"
  }
  fault "kill_primary" "f13" {
    target = "orders"
  }
  fault "kill_primary" "f14" {
    target = "orders"
  }
  fault "kill_primary" "f15" {
    target = "orders"
  }
  fault "kill_primary" "f16" {
    target = "orders"
  }
  fault "kill_primary" "f17" {
    target = "orders"
  }
  fault "kill_primary" "f18" {
    target = "orders"
  }
  fault "kill_primary" "f19" {
    target = "orders"
  }
  fault "kill_primary" "f20" {
    target = "orders"
  }
  fault "kill_primary" "f21" {
    target = "orders"
  }
  fault "kill_primary" "f22" {
    target = "orders"
  }
  fault "kill_primary" "f23" {
    target = "orders"
  }
  fault "kill_primary" "f24" {
    target = "orders"
  }
  fault "kill_primary" "f25" {
    target = "orders"
  }
  fault "kill_primary" "f26" {
    target = "orders"
  }
  fault "kill_primary" "f27" {
    target = "orders"
  }
  fault "kill_primary" "f28" {
    target = "orders"
  }
  fault "kill_primary" "f29" {
    target = "orders"
  }
  fault "kill_primary" "f30" {
    target = "orders"
  }
  fault "kill_primary" "f31" {
    target = "orders"
  }
  fault "kill_primary" "f32" {
    target = "orders"
  }
  fault "kill_primary" "f33" { # ERROR: Too many blocks
    target = "orders"
  }
  fault "kill_primary" "f34" {
    target = "orders"
  }
  fault "kill_primary" "f35" {
    target = "orders"
  }
}
