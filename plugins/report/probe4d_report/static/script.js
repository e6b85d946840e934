(function () {
  "use strict";
  var root = document.documentElement;
  var button = document.getElementById("theme");
  function stored(value) {
    // A file opened from disk may have no storage; the choice then lasts as long as the page.
    try {
      if (value === undefined) return localStorage.getItem("probe4d-theme");
      localStorage.setItem("probe4d-theme", value);
    } catch (error) { return null; }
    return value;
  }
  function dark() {
    var theme = root.getAttribute("data-theme");
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function show() { button.textContent = dark() ? "Light" : "Dark"; }
  var before = stored();
  if (before === "dark" || before === "light") root.setAttribute("data-theme", before);
  button.hidden = false;
  button.addEventListener("click", function () {
    var next = dark() ? "light" : "dark";
    root.setAttribute("data-theme", next);
    stored(next);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();

  function key(row, column) {
    var cell = row.cells[column];
    var value = cell.getAttribute("data-value");
    return value === null ? cell.textContent.trim() : (value === "" ? null : parseFloat(value));
  }
  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  }
  function sort(table, column) {
    var head = table.tHead.rows[0].cells;
    var up = head[column].getAttribute("aria-sort") !== "ascending";
    for (var i = 0; i < head.length; i++) if (head[i].hasAttribute("aria-sort")) head[i].setAttribute("aria-sort", "none");
    head[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    var body = table.tBodies[0];
    Array.from(body.rows).map(function (row, place) { return { row: row, key: key(row, column), place: place }; })
      .sort(function (a, b) {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
        return (up ? 1 : -1) * compare(a.key, b.key) || a.place - b.place;
      })
      .forEach(function (item) { body.appendChild(item.row); });
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    Array.from(table.tHead.rows[0].cells).forEach(function (cell, column) {
      var handle = document.createElement("button");
      handle.type = "button";
      handle.className = "sort";
      while (cell.firstChild) handle.appendChild(cell.firstChild);
      cell.appendChild(handle);
      cell.setAttribute("aria-sort", "none");
      handle.addEventListener("click", function () { sort(table, column); });
    });
  });
})();
