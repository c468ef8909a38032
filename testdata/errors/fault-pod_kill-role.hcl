drill "fault-pod_kill-role" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url = "http://checkout.shop.svc/orders"
  }

  fault "pod_kill" "checkout" { # ERROR: Unsuitable fault
    role = "primary"
  }
}
