(function () {
  "use strict";
  var tip = document.getElementById("tip");
  function show(event) {
    var target = event.target;
    var text = target && target.getAttribute ? target.getAttribute("data-tip") : null;
    if (!text) { tip.hidden = true; return; }
    tip.textContent = text;
    tip.hidden = false;
    var left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
    tip.style.left = Math.max(left, 4) + "px";
    tip.style.top = Math.max(event.clientY - tip.offsetHeight - 10, 4) + "px";
  }
  document.addEventListener("mousemove", show);
  document.querySelectorAll("svg.chart .legend").forEach(function (entry) {
    entry.addEventListener("click", function () {
      var key = entry.getAttribute("data-series");
      var off = entry.classList.toggle("off");
      entry.ownerSVGElement.querySelectorAll(".series, .seg.dot").forEach(function (part) {
        if (part.getAttribute("data-series") === key) { part.style.visibility = off ? "hidden" : ""; }
      });
    });
  });
  document.querySelectorAll("table").forEach(function (table) {
    table.querySelectorAll("thead th").forEach(function (head, column) {
      
      head.addEventListener("click", function () {
        var body = table.tBodies[0];
        var rows = Array.prototype.slice.call(body.rows);
        var up = head.getAttribute("aria-sort") !== "ascending";
        function value(row) {
          var text = row.cells[column].textContent.trim();
          var number = parseFloat(text.replace(/[,%]/g, ""));
          return isNaN(number) ? text : number;
        }
        rows.sort(function (a, b) {
          var x = value(a), y = value(b);
          var order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
          return up ? order : -order;
        });
        table.querySelectorAll("th").forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
  });
})();
