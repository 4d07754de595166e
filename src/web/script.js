// What pages can do beside showing: live parts, parts that take long, tables sorted by a click, dates that give way to a term.
// Every page is whole without it.
"use strict";

(function () {
  // Live parts: each event is the part as it is now.
  document.querySelectorAll("[data-live]").forEach(function (part) {
    if (!window.EventSource) return;
    var source = new EventSource(part.getAttribute("data-live"));
    source.onmessage = function (event) {
      part.innerHTML = event.data;
      part.setAttribute("data-state", "live");
    };
    source.onerror = function () { part.setAttribute("data-state", "waiting"); };
    window.addEventListener("pagehide", function () { source.close(); });
  });

  // Parts that take long: another page has them; the link to it stays where it can't be read.
  document.querySelectorAll("[data-later]").forEach(function (part) {
    if (!window.fetch) return;
    part.setAttribute("aria-busy", "true");
    fetch(part.getAttribute("data-later"), { credentials: "same-origin" })
      .then(function (answer) { return answer.ok ? answer.text() : Promise.reject(); })
      .then(function (text) {
        var page = new DOMParser().parseFromString(text, "text/html");
        var found = page.querySelector('[data-part="' + part.getAttribute("data-part") + '"]');
        if (found) part.innerHTML = found.innerHTML;
      })
      .catch(function () {})
      .then(function () { part.removeAttribute("aria-busy"); });
  });

  // A term chosen later wins over dates chosen before.
  document.querySelectorAll("form.filters select[name=term]").forEach(function (term) {
    term.addEventListener("change", function () {
      ["from", "to"].forEach(function (name) {
        var field = term.form.elements[name];
        if (field) field.value = "";
      });
    });
  });

  // Tables: a heading becomes a button that sorts.
  function value(row, column) {
    var cell = row.cells[column];
    var text = cell ? cell.textContent.trim() : "";
    var number = parseFloat(text.replace(/[%,]/g, ""));
    return { text: text, number: isNaN(number) ? -Infinity : number };
  }
  document.querySelectorAll("table[data-table]").forEach(function (table) {
    var body = table.tBodies[0];
    if (!body || body.rows.length < 2) return;
    Array.prototype.forEach.call(table.tHead.rows[0].cells, function (heading, column) {
      if (heading.classList.contains("plain")) return;
      var button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.textContent = heading.textContent;
      heading.textContent = "";
      heading.appendChild(button);
      button.addEventListener("click", function () {
        var down = heading.getAttribute("aria-sort") !== "descending";
        Array.prototype.forEach.call(table.tHead.rows[0].cells, function (other) {
          other.removeAttribute("aria-sort");
        });
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        var number = heading.classList.contains("num");
        var rows = Array.prototype.slice.call(body.rows);
        rows.sort(function (a, b) {
          var x = value(a, column), y = value(b, column);
          var order = number ? x.number - y.number : x.text.localeCompare(y.text, "zh-CN");
          return down ? -order : order;
        });
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
  });
})();
