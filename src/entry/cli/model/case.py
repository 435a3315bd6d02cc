import sqlite3

PATH = "shop.db"


def find_user(name):
    """The row of a user, or None."""
    connection = sqlite3.connect(PATH)
    cursor = connection.cursor()
    cursor.execute("SELECT * FROM users WHERE name = '%s'" % name)
    return cursor.fetchone()


def path():
    return PATH
