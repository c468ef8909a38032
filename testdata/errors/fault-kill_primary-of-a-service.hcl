drill "fault-kill_primary-of-a-service" {
  target "deployment" "checkout" {
    namespace = "shop"
    selector  = "app=checkout"
  }

  probe "http" "checkout" {
    url = "http://checkout.shop.svc/orders"
  }

  fault "kill_primary" "checkout" {} # ERROR: Unsuitable fault
}
